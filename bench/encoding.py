"""Decides (pure): websocket frames in each transport, so that what lies between two chapters can be anything.

A transport's compression is one stream for each connection, and what comes later refers to what came before.
To encode events once for all connections, and still to answer each one's heartbeats, the events are cut into
chapters that refer to nothing before them: an acknowledgement fits between any two, and so does the rest of a
chapter that a RESUME begins in. Within a chapter events refer to each other as Discord's do.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable
from typing import Final, Protocol

from websockets.frames import Frame, Opcode

from bench import zstd

TRANSPORTS: Final = ("none", "zlib-stream", "zstd-stream")
_ZSTD_LEVEL: Final = 6
_ZSTD_HEADER: Final = 6
"""Magic number, descriptor, window: what a stream of unknown length without dictionary begins with."""


class _Compressor(Protocol):
    def __call__(self, payload: bytes, /) -> bytes: ...


class Chapter:
    """Encodes some consecutive payloads as frames. The first chapter of a connection begins its stream.

    Args:
        transport: one of `TRANSPORTS`.
        first: nothing was sent before it.
        window_log: of zstd-stream, base 2: what a receiver has to hold; None: what the library takes.
    """

    def __init__(self, transport: str, *, first: bool = False, window_log: int | None = None) -> None:
        self._opcode = Opcode.TEXT if transport == "none" else Opcode.BINARY
        self._compress: _Compressor = {
            "none": bytes,
            "zlib-stream": _zlib(first),
            "zstd-stream": _zstd(first, window_log),
        }[transport]

    def frame(self, payload: bytes) -> bytes:
        """Return the frame of the next payload."""
        return Frame(self._opcode, self._compress(payload)).serialize(mask=False)


def _zlib(first: bool) -> _Compressor:
    stream = zlib.compressobj(wbits=15 if first else -15)  # without header: it goes on within a stream
    return lambda payload: stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)


def _zstd(first: bool, window_log: int | None) -> _Compressor:
    level, window = zstd.CompressionParameter.compression_level, zstd.CompressionParameter.window_log
    options = {int(level): _ZSTD_LEVEL} | ({} if window_log is None else {int(window): window_log})
    stream = zstd.ZstdCompressor(options=options)
    cut = itertools.chain([0 if first else _ZSTD_HEADER], itertools.repeat(0))
    return lambda payload: (stream.compress(payload) + stream.flush(stream.FLUSH_BLOCK))[next(cut) :]


def inflated(transport: str, frames: Iterable[bytes]) -> list[bytes]:
    """Return the payloads of a connection's frames, as a client reads them."""
    stream = {"none": None, "zlib-stream": zlib.decompressobj(), "zstd-stream": zstd.ZstdDecompressor()}[
        transport
    ]
    bodies = (unframed(frame) for frame in frames)
    return list(bodies) if stream is None else [stream.decompress(body) for body in bodies]


def unframed(frame: bytes) -> bytes:
    """Return the payload of a frame that isn't masked."""
    start = {126: 4, 127: 10}.get(frame[1], 2)
    return frame[start:]


def chapter(transport: str, payloads: list[bytes]) -> list[bytes]:
    """Return frames that mean the same behind anything.

    Zstandard remembers the last three distances from block to block, and a new stream may use those that it
    begins with. Where that happened they would be others here; then the first payload goes as it is, and what
    follows is tried again.
    """
    for plain in range(len(payloads) + 1):
        first, rest = payloads[:plain], Chapter(transport)
        frames = [_uncompressed(transport, payload) for payload in first]
        frames += [rest.frame(payload) for payload in payloads[plain:]]
        if transport != "zstd-stream" or _means_the_same(frames, payloads):
            return frames
    raise AssertionError("plain blocks always mean the same")


def _uncompressed(transport: str, payload: bytes) -> bytes:
    """Return a frame with a block of zstd that isn't compressed."""
    assert transport == "zstd-stream"
    pieces = [payload[at : at + 65_536] for at in range(0, len(payload), 65_536)]
    blocks = b"".join((len(piece) << 3).to_bytes(3, "little") + piece for piece in pieces)
    return Frame(Opcode.BINARY, blocks).serialize(mask=False)


_ELSEWHERE: Final = b"".join(b"%d|abcdefghijklm%d#" % (number * 7919, number) for number in range(300)) * 2


def _means_the_same(frames: list[bytes], payloads: list[bytes]) -> bool:
    """Say whether frames are read well behind something that leaves other distances behind."""
    before = Chapter("zstd-stream", first=True).frame(_ELSEWHERE)
    try:
        return inflated("zstd-stream", [before, *frames])[1:] == payloads
    except zstd.ZstdError:
        return False
