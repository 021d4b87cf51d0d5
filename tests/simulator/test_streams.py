import random
import sys
import zlib

import pytest

from gwsimulator.streams import broken, frame, stream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PAYLOADS = [b'{"op":10}', b"{" + b"x" * 300 + b"}", b"{" + b"y" * 70_000 + b"}"]


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """Cut unmasked frames into (first byte, payload)."""
    found = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10]), 10
        found.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return found


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_the_length_of_a_frame_is_written_in_1_3_or_9_bytes(size: int) -> None:
    assert messages(frame(b"z" * size, 0x82)) == [(0x82, b"z" * size)]


def test_uncompressed_payloads_are_text() -> None:
    plain = stream(None)
    assert [messages(plain.frames(one)) for one in PAYLOADS] == [[(0x81, one)] for one in PAYLOADS]


def test_zlib_payloads_are_binary_share_one_stream_and_end_with_the_suffix() -> None:
    deflated, inflater = stream("zlib-stream"), zlib.decompressobj()
    for one in PAYLOADS:
        ((first, data),) = messages(deflated.frames(one))
        assert first == 0x82
        assert data.endswith(b"\x00\x00\xff\xff")
        assert inflater.decompress(data) == one


def test_zstd_payloads_are_one_message_each_of_one_frame_that_never_ends() -> None:
    packed, unpacker, data = stream("zstd-stream"), zstd.ZstdDecompressor(), b""
    for one in PAYLOADS:
        ((first, data),) = messages(packed.frames(one))
        assert first == 0x82
        assert unpacker.decompress(data) == one
        assert not unpacker.eof
    with pytest.raises(zstd.ZstdError):
        zstd.ZstdDecompressor().decompress(data)


def test_the_first_zstd_message_says_neither_content_size_nor_checksum_and_a_256_kib_window() -> None:
    ((_, data),) = messages(stream("zstd-stream").frames(PAYLOADS[0]))
    assert data[:4] == b"\x28\xb5\x2f\xfd"
    descriptor, window = data[4], data[5]
    assert descriptor >> 6 == 0
    assert not descriptor & 0b100100
    assert 1 << (10 + (window >> 3)) == 256 * 1024


def test_zlib_payloads_can_be_split_also_within_the_suffix() -> None:
    deflated, inflater = stream("zlib-stream", split=random.Random(1)), zlib.decompressobj()
    for one in PAYLOADS:
        parts = [data for _, data in messages(deflated.frames(one))]
        assert len(parts) > 1
        assert parts[-1] == b"\xff\xff"
        assert inflater.decompress(b"".join(parts)) == one


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_broken_payload_can_be_read_under_no_compression(payload: bytes) -> None:
    ((_, text),) = messages(broken(stream(None).frames(payload)))
    with pytest.raises(UnicodeDecodeError):
        text.decode()
    for name, error in (("zlib-stream", zlib.error), ("zstd-stream", zstd.ZstdError)):
        packed = stream(name)
        read = zlib.decompressobj() if name == "zlib-stream" else zstd.ZstdDecompressor()
        ((_, hello),) = messages(packed.frames(b"{}"))
        read.decompress(hello)
        ((_, data),) = messages(broken(packed.frames(payload)))
        with pytest.raises(error):
            read.decompress(data)
