"""Messages of about 1 KB, and dispatches as the frames of one connection (pure)."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

from websockets.frames import Frame, Opcode

from bench.zstd import ZstdCompressor
from gwsimulator import payloads
from gwsimulator.snowflakes import snowflake

HEARTBEAT_MS = 41_250


def messages(count: int, seed: int) -> Iterator[bytes]:
    """Yield the `d` of `count` messages, each filled up to about 1 KB as a dispatch."""
    dice = random.Random(seed)
    for index in range(count):
        ids = [snowflake(1_700_000_000_000 + index, dice.randrange(4096)) for _ in range(4)]
        yield payloads.encode(payloads.message(dice, *ids))


class Encoder:
    """Dispatches as websocket frames of one connection, in one of the three compressions."""

    def __init__(self, compression: str) -> None:
        self._seq = 0
        self._zlib = zlib.compressobj() if compression == "zlib-stream" else None
        self._zstd = None
        if compression == "zstd-stream":
            self._zstd = ZstdCompressor(level=6)

    def dispatch(self, name: str, data: bytes) -> bytes:
        self._seq += 1
        return self.frame(b'{"t":"%s","s":%d,"op":0,"d":%s}' % (name.encode(), self._seq, data))

    def frame(self, payload: bytes) -> bytes:
        if self._zlib is not None:
            payload = self._zlib.compress(payload) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        elif self._zstd is not None:
            payload = self._zstd.compress(payload) + self._zstd.flush(self._zstd.FLUSH_BLOCK)
        else:
            return Frame(Opcode.TEXT, payload).serialize(mask=False)
        return Frame(Opcode.BINARY, payload).serialize(mask=False)
