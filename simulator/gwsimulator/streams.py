"""Decides (pure): payloads into websocket frames, under each transport compression.

Frames are built here and not by the websocket library, so that a flood of events costs one write and not one
each. A server's frames are not masked: a header of 2, 4 or 10 bytes, then the data.

Source: https://docs.discord.com/developers/events/gateway#transport-compression
"""

from __future__ import annotations

import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT: Final = 0x81
BINARY: Final = 0x82
PING: Final = 0x89
_FIN: Final = 0x80
_ZLIB_LEVEL: Final = 1
_ZEROS: Final = b"0" * (1 << 20)

Framing = Callable[[bytes, int], bytes]
"""Makes frames of a message and the first byte of its whole frame."""


class Stream(Protocol):
    """One connection's outbound side."""

    def frames(self, payload: bytes) -> bytes:
        """Return the websocket frames that carry the payload; calls must be in order of sending."""

    def last_frames(self, payload: bytes) -> bytes:
        """Return the same, with the end of the compression's stream; another begins after it."""

    def bomb(self, size: int) -> bytes:
        """Return the frames of a payload of `size` bytes that is small on the wire if it is compressed."""


def frame(data: bytes, first_byte: int) -> bytes:
    """Return one whole, unfragmented message of a server."""
    size = len(data)
    if size < 126:
        return struct.pack("!BB", first_byte, size) + data
    if size < 65_536:
        return struct.pack("!BBH", first_byte, 126, size) + data
    return struct.pack("!BBQ", first_byte, 127, size) + data


def broken(frames: bytes) -> bytes:
    """Return the frames of a payload so spoilt that no client can read them, whatever the compression.

    The bits set are an impossible block type in deflate and in zstd, and no UTF-8 in a text frame. A bit
    flipped anywhere else may well give valid JSON that says something else: neither stream has a checksum.
    """
    start = {126: 4, 127: 10}.get(frames[1], 2)
    return frames[:start] + bytes([frames[start] | 0x86]) + frames[start + 1 :]


class Fragmented:
    """Cuts some messages into fragments, with pings between some of them.

    Source: https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    """

    def __init__(self, dice: random.Random) -> None:
        """Cut where the dice say."""
        self._dice = dice

    def __call__(self, data: bytes, first_byte: int) -> bytes:
        """Return the frames of one message."""
        if len(data) < 2 or self._dice.random() < 0.5:
            return frame(data, first_byte)
        cuts = sorted({self._dice.randrange(1, len(data)) for _ in range(self._dice.randint(1, 3))})
        made = frame(data[: cuts[0]], first_byte & ~_FIN)
        for start, end in zip(cuts, [*cuts[1:], len(data)], strict=True):
            if self._dice.random() < 0.5:
                made += frame(b"between", PING)
            made += frame(data[start:end], _FIN if end == len(data) else 0)
        return made


class Plain:
    """No compression: one text message per payload."""

    def __init__(self, *, framing: Framing) -> None:
        """Start; there is nothing to keep."""
        self._frame = framing

    def frames(self, payload: bytes) -> bytes:
        """Return a text frame."""
        return self._frame(payload, TEXT)

    def last_frames(self, payload: bytes) -> bytes:
        """Return the same; there is no stream."""
        return self.frames(payload)

    def bomb(self, size: int) -> bytes:
        """Return all `size` bytes."""
        return self.frames(b"".join(_bomb(size)))


class Zlib:
    """zlib-stream: one deflater per connection, each payload ends with 00 00 ff ff."""

    def __init__(self, *, split: random.Random | None, framing: Framing) -> None:
        """Start a stream; with `split` dice, payloads come in several messages."""
        self._deflater = zlib.compressobj(_ZLIB_LEVEL)
        self._split = split
        self._frame = framing

    def frames(self, payload: bytes) -> bytes:
        """Return a binary frame, or several."""
        data = self._deflater.compress(payload) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        if self._split is None:
            return self._frame(data, BINARY)
        cuts = sorted({self._split.randrange(1, len(data)) for _ in range(2)} | {len(data) - 2})
        starts = [0, *cuts]
        ends = [*cuts, len(data)]
        return b"".join(self._frame(data[a:b], BINARY) for a, b in zip(starts, ends, strict=True))

    def last_frames(self, payload: bytes) -> bytes:
        """Return a binary frame that ends the deflate stream."""
        data = self._deflater.compress(payload) + self._deflater.flush(zlib.Z_FINISH)
        self._deflater = zlib.compressobj(_ZLIB_LEVEL)
        return self._frame(data, BINARY)

    def bomb(self, size: int) -> bytes:
        """Return a thousandth of `size`."""
        data = b"".join(self._deflater.compress(chunk) for chunk in _bomb(size))
        return self._frame(data + self._deflater.flush(zlib.Z_SYNC_FLUSH), BINARY)


class Zstd:
    """zstd-stream: one never-ending zstd frame per connection, one message per payload."""

    def __init__(self, *, framing: Framing) -> None:
        """Start a stream with a window of 256 KiB, as captures show."""
        self._frame = framing
        parameter = zstd.CompressionParameter
        self._compressor = zstd.ZstdCompressor(
            options={parameter.compression_level: 1, parameter.window_log: 18, parameter.content_size_flag: 0}
        )

    def frames(self, payload: bytes) -> bytes:
        """Return a binary frame."""
        return self._frame(self._compressor.compress(payload, zstd.ZstdCompressor.FLUSH_BLOCK), BINARY)

    def last_frames(self, payload: bytes) -> bytes:
        """Return a binary frame that ends the zstd frame."""
        return self._frame(self._compressor.compress(payload, zstd.ZstdCompressor.FLUSH_FRAME), BINARY)

    def bomb(self, size: int) -> bytes:
        """Return a small part of `size`."""
        data = b"".join(self._compressor.compress(chunk) for chunk in _bomb(size))
        return self._frame(data + self._compressor.flush(zstd.ZstdCompressor.FLUSH_BLOCK), BINARY)


def _bomb(size: int) -> Iterator[bytes]:
    """Give a payload of an unknown op with `size` bytes in it, piece by piece."""
    yield b'{"t":null,"s":null,"op":99,"d":"'
    for start in range(0, size, len(_ZEROS)):
        yield _ZEROS[: size - start]
    yield b'"}'


def stream(compress: str | None, *, split: random.Random | None = None, framing: Framing = frame) -> Stream:
    """Return the outbound side for `compress` as in the query; anything unknown is sent plainly."""
    match compress:
        case "zlib-stream":
            return Zlib(split=split, framing=framing)
        case "zstd-stream":
            return Zstd(framing=framing)
        case _:
            return Plain(framing=framing)
