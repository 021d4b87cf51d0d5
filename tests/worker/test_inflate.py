from __future__ import annotations

import random
import sys
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwworker.inflate import MAX_PAYLOAD_BYTES, Inflater, Plain, ZlibStream, ZstdStream, inflater
from gwworker.scan import BadPayloadError, read

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor
else:
    from backports.zstd import ZstdCompressor

PAYLOADS = [b'{"op":99,"d":{"n":%d,"text":"%s"}}' % (n, b"abc" * n) for n in range(40)]


class Zlib:
    """Discord's side of zlib-stream."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj()

    def message(self, payload: bytes) -> bytes:
        return self._deflate.compress(payload) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._deflate.flush()


class Zstd:
    """Discord's side of zstd-stream."""

    def __init__(self) -> None:
        self._deflate = ZstdCompressor()

    def message(self, payload: bytes) -> bytes:
        return self._deflate.compress(payload, ZstdCompressor.FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._deflate.flush(ZstdCompressor.FLUSH_FRAME)


SIDES = pytest.mark.parametrize(("theirs", "ours"), [(Zlib, ZlibStream), (Zstd, ZstdStream)])


def fed(ours: Inflater, *messages: bytes) -> list[bytes]:
    return [payload for message in messages if (payload := ours.feed(message)) is not None]


# "each Gateway connection should use its own unique zlib context", and zstd's "stays alive for the lifetime
# of the gateway connection"; "each websocket message corresponds to a single gateway message, but does not
# end a zstd frame": https://docs.discord.com/developers/events/gateway#transport-compression


@SIDES
def test_each_message_is_a_payload_and_all_of_them_are_one_stream(theirs: type, ours: type) -> None:
    peer, stream = theirs(), ours()
    assert fed(stream, *map(peer.message, PAYLOADS)) == PAYLOADS


def test_a_thousand_zstd_messages_of_one_unfinished_frame() -> None:
    peer, stream = Zstd(), ZstdStream()
    for n in range(1000):
        assert stream.feed(peer.message(b'{"n":%d}' % n)) == b'{"n":%d}' % n


@SIDES
def test_a_payload_of_many_times_the_window_comes_whole(theirs: type, ours: type) -> None:
    # "You will need to repeatedly call ZSTD_decompressStream until all data in the frame has been processed"
    # https://docs.discord.com/developers/events/gateway#zstdstream; GUILD_CREATEs of 6 MB were met
    peer, stream = theirs(), ours()
    large = random.Random(1).randbytes(6_000_000)
    assert fed(stream, *map(peer.message, [b"{}", large, b"{}"])) == [b"{}", large, b"{}"]


def test_without_compression_a_message_is_a_payload() -> None:
    assert Plain().feed(b"{}") == b"{}"


@pytest.mark.parametrize(
    ("name", "kind"), [("none", Plain), ("zlib-stream", ZlibStream), ("zstd-stream", ZstdStream)]
)
def test_the_configured_name_picks_a_new_one(name: str, kind: type) -> None:
    assert type(inflater(name)) is kind
    assert inflater(name) is not inflater(name)


# zlib-stream cut and glued


# "push received data to a buffer until you receive the 4-byte Z_SYNC_FLUSH suffix (00 00 ff ff)":
# https://docs.discord.com/developers/events/gateway#zlibstream


def test_a_payload_may_be_cut_anywhere_the_flush_marker_included() -> None:
    peer = Zlib()
    for payload in (*PAYLOADS[:2], b'{"t":"' + b"x" * 3000 + b'"}'):
        message = peer.message(payload)
        assert message.endswith(b"\x00\x00\xff\xff")
        for cut in range(1, len(message)):
            other = Zlib()
            stream = ZlibStream()
            stream.feed(other.message(b"{}"))
            again = other.message(payload)
            assert fed(stream, again[:cut], again[cut:]) == [payload]


def test_a_marker_by_chance_before_a_cut_gives_half_a_payload_which_is_broken_and_not_skipped() -> None:
    # What is compressed may hold these four bytes, too; that a message ends just there was never seen.
    deflate = zlib.compressobj(level=0)
    payload = b'{"op":0,"s":1,"t":"X","d":"\x00\x00\xff\xff and more"}'
    message = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    cut = message.index(b"\x00\x00\xff\xff") + 4
    assert cut < len(message)
    half = ZlibStream().feed(message[:cut])
    assert half is not None
    with pytest.raises(BadPayloadError):
        list(read(half))


def test_a_payload_in_seven_messages_one_of_them_inside_the_marker_is_one_payload() -> None:
    peer, stream = Zlib(), ZlibStream()
    message = peer.message(PAYLOADS[30])
    cuts = [0, 5, 9, 20, 21, len(message) - 3, len(message) - 1, len(message)]
    pieces = [message[a:b] for a, b in pairwise(cuts)]
    assert len(pieces) == 7
    assert [stream.feed(piece) for piece in pieces] == [None] * 6 + [PAYLOADS[30]]
    assert fed(stream, peer.message(b"{}")) == [b"{}"]


@given(st.lists(st.integers(0, 2000), max_size=12))
def test_any_cuts_of_a_stream_lose_nothing(cuts: list[int]) -> None:
    peer, stream = Zlib(), ZlibStream()
    data = b"".join(map(peer.message, PAYLOADS[:20]))
    at = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    payloads = fed(stream, *(data[a:b] for a, b in pairwise(at)))
    assert b"".join(payloads) == b"".join(PAYLOADS[:20])


def test_two_payloads_in_one_message_come_together_for_the_parser_to_part() -> None:
    peer, stream = Zlib(), ZlibStream()
    (both,) = fed(stream, peer.message(PAYLOADS[1]) + peer.message(PAYLOADS[2]))
    assert [piece for _, piece in read(both)] == [PAYLOADS[1], PAYLOADS[2]]


def test_only_a_payload_that_one_message_brought_alone_is_known_to_be_whole() -> None:
    peer, stream = Zlib(), ZlibStream()
    stream.feed(peer.message(PAYLOADS[1]))
    assert stream.whole
    stream.feed(peer.message(PAYLOADS[2]) + peer.message(PAYLOADS[3]))
    assert not stream.whole
    stream.feed(peer.message(PAYLOADS[4]))
    assert stream.whole
    message = peer.message(PAYLOADS[5])
    stream.feed(message[:-2])
    assert stream.feed(message[-2:] + peer.message(PAYLOADS[6])) == PAYLOADS[5] + PAYLOADS[6]
    assert not stream.whole
    assert inflater("zstd-stream").whole
    assert not inflater("none").whole


def test_the_end_of_one_payload_does_not_wait_in_vain_for_the_next() -> None:
    peer, stream = Zlib(), ZlibStream()
    one, two = peer.message(PAYLOADS[1]), peer.message(PAYLOADS[2])
    assert stream.feed(one + two[:5]) is None
    assert stream.feed(two[5:]) == PAYLOADS[1] + PAYLOADS[2]
    assert stream.feed(peer.message(b"{}")) == b"{}"


# Broken streams


@SIDES
def test_a_flipped_bit_is_seen_or_harmless_but_never_skipped(theirs: type, ours: type) -> None:
    message = theirs().message(PAYLOADS[39])
    seen = 0
    for bit in range(8 * len(message)):
        flipped = bytearray(message)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            ours(max_payload_bytes=10_000).feed(bytes(flipped))
        except BadPayloadError:
            seen += 1
    assert seen > len(message), "no other exception, and most of them are seen at once"


@SIDES
def test_a_stream_that_ends_before_its_connection_is_broken(theirs: type, ours: type) -> None:
    peer, stream = theirs(), ours()
    stream.feed(peer.message(b"{}"))
    with pytest.raises(BadPayloadError, match="ended"):
        stream.feed(peer.end())
    with pytest.raises(BadPayloadError):
        stream.feed(b"\x28\xb5\x2f\xfd\x00")


@SIDES
def test_the_inflater_of_one_connection_is_of_no_use_for_the_next(theirs: type, ours: type) -> None:
    first, second = theirs(), theirs()
    stream = ours()
    stream.feed(first.message(PAYLOADS[5]))
    with pytest.raises(BadPayloadError):
        fed(stream, *map(second.message, PAYLOADS))


@SIDES
def test_the_second_message_is_of_no_use_to_a_new_inflater(theirs: type, ours: type) -> None:
    peer = theirs()
    peer.message(PAYLOADS[5])
    with pytest.raises(BadPayloadError):
        ours().feed(peer.message(PAYLOADS[6]))


@pytest.mark.parametrize("ours", [ZlibStream, ZstdStream])
@pytest.mark.parametrize("message", [b'{"op":11}', b"\xff" * 20, b"\x1f\x8b\x08\x00" + bytes(20)])
def test_what_is_not_compressed_at_all_is_broken(ours: type, message: bytes) -> None:
    with pytest.raises(BadPayloadError):
        ours().feed(message)


# Bombs


def test_256_mib_is_the_bound() -> None:
    assert MAX_PAYLOAD_BYTES == 268_435_456


@SIDES
def test_a_payload_of_exactly_the_limit_passes_and_one_byte_more_does_not(theirs: type, ours: type) -> None:
    peer, stream = theirs(), ours(max_payload_bytes=1000)
    for _ in range(3):
        assert stream.feed(peer.message(b"x" * 1000)) == b"x" * 1000
    with pytest.raises(BadPayloadError, match="1000 bytes"):
        stream.feed(peer.message(b"x" * 1001))


@SIDES
def test_a_bomb_is_not_inflated_beyond_the_limit(theirs: type, ours: type) -> None:
    bomb = theirs().message(bytes(4_000_000))
    assert len(bomb) < 5_000
    stream = ours(max_payload_bytes=1000)
    tracemalloc.start()
    with pytest.raises(BadPayloadError):
        stream.feed(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000, "it is not inflated and then measured"


def test_a_bomb_in_many_messages_is_counted_as_one() -> None:
    message = Zlib().message(bytes(10_000))
    stream = ZlibStream(max_payload_bytes=9_000)
    with pytest.raises(BadPayloadError, match="9000 bytes"):
        fed(stream, *(message[at : at + 1] for at in range(len(message) - 1)))


def test_empty_messages_are_nothing() -> None:
    peer, stream = Zlib(), ZlibStream()
    assert stream.feed(b"") is None
    assert stream.feed(peer.message(b"{}")) == b"{}"
