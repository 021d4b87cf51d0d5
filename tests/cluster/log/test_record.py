from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gwcluster.log.record import (
    CLOSED,
    EVENT,
    HOLE,
    MARKER,
    Ending,
    Entry,
    Scan,
    encode,
    encode_hole,
    hole_end,
)

ONE = b"".join(encode(EVENT, b"READY", b"\x80", b'{"t":"READY"}', 1, 0, 1, 10_000.0))
TWO = b"".join(encode(EVENT, b"RESUMED", b"\x80", b'{"t":"RESUMED"}', 1, 1, None, 10_001.0))
MARK = b"".join(encode(MARKER, b"", b"", b"", 1, 2, 9, 10_002.0))


def scan(data: bytes) -> tuple[list[Entry], Ending | None, int]:
    scanned = Scan(data)
    return list(scanned), scanned.ending, scanned.end


def test_what_is_encoded_is_scanned() -> None:
    (one, two, mark), ending, end = scan(ONE + TWO + MARK)
    data = ONE + TWO + MARK
    assert data[one.name : one.header] == b"READY"
    assert data[one.header : one.payload] == b"\x80"
    assert data[two.payload : two.end] == b'{"t":"RESUMED"}'
    assert [(e.kind, e.session, e.offset, e.seq, e.at) for e in (one, two, mark)] == [
        (2, 1, 0, 1, 10_000.0),
        (2, 1, 1, -1, 10_001.0),
        (3, 1, 2, 9, 10_002.0),
    ]
    assert (ending, end) == (Ending.WHOLE, len(data))


def test_the_bytes_of_a_record_are_these() -> None:
    assert MARK.hex() == (
        "24000000f5134c73"  # 36 bytes of body, their CRC-32
        "030000000000000001000000"  # marker; no name, header, payload; session 1
        "0200000000000000"  # offset 2
        "0900000000000000"  # seq 9
        "000000000089c340"  # 10,002.0
    )


def test_a_hole_tells_its_first_and_last_offset() -> None:
    data = encode_hole(5, 8, 10_000.0)
    (hole,), _, _ = scan(data)
    assert (hole.kind, hole.offset, hole_end(data[hole.payload : hole.end])) == (HOLE, 5, 8)


def test_a_record_cut_short_at_any_byte_is_a_torn_tail() -> None:
    for length in range(1, len(TWO)):
        entries, ending, end = scan(ONE + TWO[:length])
        assert (len(entries), ending, end) == (1, Ending.TORN, len(ONE)), length


def test_zeros_are_no_record() -> None:
    assert scan(ONE + bytes(4096)) == ([*scan(ONE)[0]], Ending.DAMAGED, len(ONE))


@given(st.integers(0, 8 * len(ONE) - 1), st.sampled_from([b"", TWO, TWO + MARK]))
@example(bit=6, after=b"")
def test_a_record_with_a_flipped_bit_is_never_given_out_and_never_taken_for_torn(
    bit: int, after: bytes
) -> None:
    flipped = bytearray(ONE)
    flipped[bit // 8] ^= 1 << bit % 8
    assert scan(bytes(flipped) + after) == ([], Ending.DAMAGED, 0)


@given(st.binary(max_size=200))
def test_any_bytes_end_a_scan_without_an_error(noise: bytes) -> None:
    entries, ending, end = scan(ONE + noise)
    assert entries[0] == scan(ONE)[0][0]
    assert ending is not None
    assert end <= len(ONE) + len(noise)


def test_what_no_writer_writes_is_damage_though_its_checksum_is_right() -> None:
    name = b"".join(encode(EVENT, b"R\xc3\x89ADY", b"\x80", b"{}", 1, 1, 2, 10_000.0))
    short = b"".join(encode(HOLE, b"", b"", b"\x09\x00", 0, 1, None, 10_000.0))
    for bad in (name, short, encode_hole(9, 8, 10_000.0)):
        assert scan(ONE + bad + MARK) == (scan(ONE)[0], Ending.DAMAGED, len(ONE))
    assert scan(ONE + encode_hole(9, 9, 10_000.0))[1] is Ending.WHOLE


def test_the_kinds_are_these() -> None:
    assert (EVENT, MARKER, HOLE, CLOSED) == (2, 3, 4, 5)
