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
from typing import Final, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT: Final = 0x81
BINARY: Final = 0x82
_ZLIB_LEVEL: Final = 1


class Stream(Protocol):
    """One connection's outbound side."""

    def frames(self, payload: bytes) -> bytes:
        """Return the websocket frames that carry the payload; calls must be in order of sending."""


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


class Plain:
    """No compression: one text message per payload."""

    def frames(self, payload: bytes) -> bytes:
        """Return a text frame."""
        return frame(payload, TEXT)


class Zlib:
    """zlib-stream: one deflater per connection, each payload ends with 00 00 ff ff."""

    def __init__(self, *, split: random.Random | None) -> None:
        """Start a stream; with `split` dice, payloads come in several messages."""
        self._deflater = zlib.compressobj(_ZLIB_LEVEL)
        self._split = split

    def frames(self, payload: bytes) -> bytes:
        """Return a binary frame, or several."""
        data = self._deflater.compress(payload) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        if self._split is None:
            return frame(data, BINARY)
        cuts = sorted({self._split.randrange(1, len(data)) for _ in range(2)} | {len(data) - 2})
        starts = [0, *cuts]
        ends = [*cuts, len(data)]
        return b"".join(frame(data[a:b], BINARY) for a, b in zip(starts, ends, strict=True))


class Zstd:
    """zstd-stream: one never-ending zstd frame per connection, one message per payload."""

    def __init__(self) -> None:
        """Start a stream with a window of 256 KiB, as captures show."""
        parameter = zstd.CompressionParameter
        self._compressor = zstd.ZstdCompressor(
            options={parameter.compression_level: 1, parameter.window_log: 18, parameter.content_size_flag: 0}
        )

    def frames(self, payload: bytes) -> bytes:
        """Return a binary frame."""
        return frame(self._compressor.compress(payload, zstd.ZstdCompressor.FLUSH_BLOCK), BINARY)


def stream(compress: str | None, *, split: random.Random | None = None) -> Stream:
    """Return the outbound side for `compress` as in the query; anything unknown is sent plainly."""
    match compress:
        case "zlib-stream":
            return Zlib(split=split)
        case "zstd-stream":
            return Zstd()
        case _:
            return Plain()
