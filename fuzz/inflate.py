"""Compressed streams, whole, split, mutated and bombs, against one-shot decompression (does)."""

from __future__ import annotations

import random
import sys
import tracemalloc
import zlib
from typing import Final

from fuzz.cases import Target
from fuzz.dispatches import dispatch
from fuzz.mutate import chunks, mutated
from fuzz.samples import deep
from gwworker.inflate import Inflater, Plain, ZlibStream, ZstdStream
from gwworker.scan import BadPayloadError

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor
else:
    from backports.zstd import ZstdCompressor

FLUSH: Final = b"\x00\x00\xff\xff"
CAP_BYTES: Final = 1 << 18
OVERHEAD_BYTES: Final = 1 << 20
"""What a decompressor may need besides its output and its input, which are both there twice at times."""


def case(dice: random.Random) -> None:
    """Play one of the games below."""
    dice.choice((zlib_whole, zlib_split, zstd_whole, zlib_mutated, zstd_mutated, bomb, noise))(dice)


def zlib_whole(dice: random.Random) -> None:
    """A payload a message comes out as it went in."""
    payloads = _payloads(dice)
    stream = ZlibStream()
    for payload, message in zip(payloads, _zlib(dice, payloads), strict=True):
        assert stream.feed(message) == payload


def zlib_split(dice: random.Random) -> None:
    """However the messages are cut or glued, nothing is lost, added or out of order."""
    payloads = _payloads(dice)
    messages = _zlib(dice, payloads)
    pieces = chunks(dice, b"".join(messages), 20)
    stream = ZlibStream()
    out: list[bytes] = []
    for piece in pieces:
        part = stream.feed(piece)
        if part is not None:
            out.append(part)
            # In stored blocks, the bytes of a flush may be someone's text.
            certain = stream.whole and not any(FLUSH in payload for payload in payloads)
            assert not certain or part in payloads, "said to be whole"
    assert b"".join(out) == b"".join(payloads), "what ended with a flush must have come out"
    ends = set()
    received = b""
    for piece in pieces:
        received += piece
        if received.endswith(FLUSH):
            ends.add(len(received))
    assert len(out) >= len(ends), "each flush at the end of what is there completes a payload"


def zstd_whole(dice: random.Random) -> None:
    """A payload a message comes out as it went in."""
    payloads = _payloads(dice)
    stream = ZstdStream()
    for payload, message in zip(payloads, _zstd(dice, payloads), strict=True):
        assert stream.feed(message) == payload


def zlib_mutated(dice: random.Random) -> None:
    """What comes out of a damaged stream is what zlib itself makes of it, or the stream is refused."""
    messages = chunks(dice, mutated(dice, b"".join(_zlib(dice, _payloads(dice)))), 12)
    out, broken = _feed(ZlibStream(CAP_BYTES), messages)
    reference = zlib.decompressobj()
    try:
        expected, valid = reference.decompress(b"".join(messages)), not reference.eof
    except zlib.error:
        expected, valid = None, False
    if expected is not None:
        assert expected.startswith(b"".join(out))
    if broken:
        assert not valid or len(expected or b"") > CAP_BYTES, "a good stream was refused"


def zstd_mutated(dice: random.Random) -> None:
    """A damaged stream gives bytes or is refused."""
    messages = [
        mutated(dice, message) if dice.random() < 0.3 else message for message in _zstd(dice, _payloads(dice))
    ]
    _feed(ZstdStream(CAP_BYTES), messages)


def bomb(dice: random.Random) -> None:
    """What inflates beyond the bound is refused, and never needs much more than the bound."""
    size = dice.randint(1, 16 * CAP_BYTES)
    plain = dice.choice((b"\x00", b"[", b'{"a":')) * size
    plain = plain[:size]
    zlib_too = dice.random() < 0.5
    messages = _zlib(dice, [plain]) if zlib_too else _zstd(dice, [plain])
    if zlib_too:
        messages = chunks(dice, messages[0], 4)
    stream: Inflater = ZlibStream(CAP_BYTES) if zlib_too else ZstdStream(CAP_BYTES)
    tracemalloc.start()
    try:
        out, broken = _feed(stream, messages)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert broken == (size > CAP_BYTES)
    assert broken or b"".join(out) == plain
    bound = 3 * CAP_BYTES + 2 * max(map(len, messages)) + OVERHEAD_BYTES
    assert peak <= bound, f"{peak} bytes were needed"


def noise(dice: random.Random) -> None:
    """Bytes out of nowhere."""
    head = dice.choice(
        (b"", b"\x78\x9c", b"\x78\x01", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x00\xff", FLUSH)
    )
    messages = [head + dice.randbytes(dice.randrange(200)), *(dice.randbytes(20) for _ in range(3)), FLUSH]
    for stream in (Plain(), ZlibStream(CAP_BYTES), ZstdStream(CAP_BYTES)):
        _feed(stream, messages)


def _feed(stream: Inflater, messages: list[bytes]) -> tuple[list[bytes], bool]:
    """Return what came out, and whether the stream was refused; nothing is fed after that."""
    out: list[bytes] = []
    for message in messages:
        try:
            payload = stream.feed(message)
        except BadPayloadError:
            return out, True
        if payload is not None:
            assert isinstance(stream, Plain) or len(payload) <= CAP_BYTES
            out.append(payload)
    return out, False


def _payloads(dice: random.Random) -> list[bytes]:
    odd = (b"", b"{}", FLUSH, FLUSH * 3, deep(dice)[:100_000], dice.randbytes(dice.randrange(300)))
    return [dispatch(dice) if dice.random() < 0.6 else dice.choice(odd) for _ in range(dice.randint(1, 6))]


def _zlib(dice: random.Random, payloads: list[bytes]) -> list[bytes]:
    deflate = zlib.compressobj(dice.choice((0, 1, 6, 9)), memLevel=dice.choice((1, 8, 9)))
    return [
        deflate.compress(payload)
        + _flushed(deflate.flush(dice.choice((zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH))))
        for payload in payloads
    ]


def _flushed(data: bytes) -> bytes:
    return data or b"\x00\x00\x00\xff\xff"  # zlib leaves a second flush out; an empty block is as good


def _zstd(dice: random.Random, payloads: list[bytes]) -> list[bytes]:
    squeeze = ZstdCompressor(dice.choice((1, 3, 6)))
    return [squeeze.compress(payload, ZstdCompressor.FLUSH_BLOCK) for payload in payloads]


TARGET: Final = Target("inflate", case)
