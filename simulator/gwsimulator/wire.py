"""Does: the outbound side of one websocket: queue, compression, batching, and the ways of ending it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final, assert_never

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from gwsimulator.effects import Cut, Hangup, Inflate, Queued, Send, SendFrames, SendMessage
from gwsimulator.spelling import Spelling
from gwsimulator.streams import BINARY, TEXT, Stream, broken, frame

_BATCH: Final = 64
"""Messages per write; between two of them other connections get their turn."""

_NO_NAME: Final = b'{"t":null'
_DRIPS_PER_S: Final = 20
_PIECE_GAP_S: Final = 0.002


@dataclass(slots=True, eq=False)
class Wire:
    """A websocket's outbound side."""

    ws: ServerConnection
    stream: Stream
    spell: Spelling
    """For what isn't a dispatch: those are spelled when they get their number."""
    outbox: deque[Queued] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    writing: asyncio.Event = field(default_factory=asyncio.Event)
    bytes_per_s: float | None = None

    async def write(self) -> None:
        """Send what is in the outbox, until the connection ends."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.outbox:
                await self.writing.wait()
                end = await self._push_batch()
                if end is not None:
                    await self._end(end)
                    return
                if not self.writing.is_set():
                    continue
                await self.ws.drain()
                await asyncio.sleep(0)

    async def _push_batch(self) -> Hangup | Cut | None:
        """Send some messages; return the end that they led to."""
        batch: list[bytes] = []
        while self.outbox and len(batch) < _BATCH:
            effect = self.outbox.popleft()
            match effect:
                case Hangup() | Cut():
                    await self._push(b"".join(batch))
                    return effect
                case Send(spoil="pieces"):
                    await self._push(b"".join(batch))
                    await self._push_pieces(self.stream.frames(effect.payload))
                    return None
                case Send(spoil="half"):
                    made = self.stream.frames(effect.payload)
                    self.writing.clear()
                    batch.append(made[: len(made) // 2])
                    break
                case _:
                    batch.append(self._frames(effect))
        await self._push(b"".join(batch))
        return None

    def _frames(self, effect: Send | SendMessage | SendFrames | Inflate) -> bytes:
        match effect:
            case Send(payload=payload, spoil="broken"):
                return broken(self.stream.frames(payload))
            case Send(payload=payload, spoil="end_stream"):
                return self.stream.last_frames(payload)
            case Send(payload=payload, spoil="text"):
                return frame(payload, TEXT)
            case Send(payload=payload):
                return self.stream.frames(self.spell(payload) if payload.startswith(_NO_NAME) else payload)
            case SendMessage():
                return frame(effect.data, TEXT if effect.text else BINARY)
            case SendFrames():
                return effect.data
            case Inflate():
                return self.stream.bomb(effect.size)
            case _:
                assert_never(effect)

    async def _push(self, data: bytes) -> None:
        while data and self.bytes_per_s is not None:
            size = max(1, int(self.bytes_per_s / _DRIPS_PER_S))
            self._write(data[:size])
            data = data[size:]
            await asyncio.sleep(size / self.bytes_per_s)
        self._write(data)

    async def _push_pieces(self, data: bytes) -> None:
        for index in range(len(data)):
            self._write(data[index : index + 1])
            await asyncio.sleep(_PIECE_GAP_S)

    def _write(self, data: bytes) -> None:
        if data and self.ws.state is State.OPEN and not self.ws.transport.is_closing():
            self.ws.transport.write(data)

    async def _end(self, how: Hangup | Cut) -> None:
        if isinstance(how, Hangup):
            await self.ws.close(how.code, how.reason[:100])
        elif how.fin:
            self.ws.transport.close()
        else:
            while self.ws.transport.get_write_buffer_size():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(_PIECE_GAP_S)
            reset(self.ws)

    def put(self, effect: Queued) -> None:
        """Queue something to be done; an end of a connection that doesn't write comes at once."""
        if isinstance(effect, Hangup | Cut) and (
            not self.writing.is_set() or (isinstance(effect, Cut) and not effect.in_turn)
        ):
            reset(self.ws)
        else:
            self.outbox.append(effect)
            self.wake.set()

    def freeze(self, *, reads: bool, writes: bool) -> None:
        """Stop reading or writing, or go on."""
        if writes:
            self.writing.clear()
        else:
            self.writing.set()
        if reads:
            self.reading.clear()
            self.ws.transport.pause_reading()
        else:
            self.reading.set()
            self.ws.transport.resume_reading()


def reset(ws: ServerConnection) -> None:
    """End a connection by a TCP reset."""
    raw = ws.transport.get_extra_info("socket")
    if raw is not None and not ws.transport.is_closing():
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ws.transport.abort()
