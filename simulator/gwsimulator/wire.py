"""Does: the outbound side of one websocket: queue, compression, batching, and the ways of ending it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from gwsimulator.effects import Hangup, Send
from gwsimulator.streams import Stream, broken

_BATCH: Final = 64
"""Messages per write; between two of them other connections get their turn."""


@dataclass(slots=True, eq=False)
class Wire:
    """A websocket's outbound side."""

    ws: ServerConnection
    stream: Stream
    outbox: deque[Send | Hangup] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self) -> None:
        """Send what is in the outbox, until a hang-up."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.outbox:
                await self.flowing.wait()
                hangup = self._push_batch()
                if hangup is not None:
                    await self.ws.close(hangup.code, hangup.reason[:100])
                    return
                await self.ws.drain()
                await asyncio.sleep(0)

    def _push_batch(self) -> Hangup | None:
        """Send some messages; return the hang-up that they led to."""
        frames: list[bytes] = []
        hangup: Hangup | None = None
        while self.outbox and hangup is None and len(frames) < _BATCH:
            effect = self.outbox.popleft()
            if isinstance(effect, Hangup):
                hangup = effect
            else:
                made = self.stream.frames(effect.payload)
                frames.append(broken(made) if effect.broken else made)
        if frames and self.ws.state is State.OPEN and not self.ws.transport.is_closing():
            self.ws.transport.write(b"".join(frames))
        return hangup

    def put(self, effect: Send | Hangup) -> None:
        """Queue something to be sent."""
        self.outbox.append(effect)
        self.wake.set()

    def reset(self) -> None:
        """End the connection by a TCP reset."""
        raw = self.ws.transport.get_extra_info("socket")
        if raw is not None and not self.ws.transport.is_closing():
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.ws.transport.abort()

    def freeze(self, *, frozen: bool) -> None:
        """Stop reading and writing, or go on."""
        if frozen:
            self.flowing.clear()
            self.ws.transport.pause_reading()
        else:
            self.flowing.set()
            self.ws.transport.resume_reading()
