"""Hands events to the subscriber (does): frames on a Unix stream, those of one turn of the loop in one write.

bench/subscriber.py describes the frames. This is the cheapest way that we know in Python: no acknowledgement,
no log, no other process in between.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final

_HEAD: Final = struct.Struct(">IHIB")
NO_SHARD: Final = 0xFFFF
"""For libraries that don't tell it."""


class Outlet:
    """A stream to the subscriber. For one running loop."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._later = asyncio.get_running_loop().call_soon
        self._waiting: list[bytes] = []

    @classmethod
    async def open(cls, path: str) -> Outlet:
        """Connect to the subscriber."""
        transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, path)
        transport.set_write_buffer_limits(1 << 30)
        return cls(transport)

    def put(self, shard: int, seq: int, name: bytes, payload: bytes) -> None:
        """Hand over an event; `seq` 0: it is in the payload, which begins as Discord's do."""
        if not self._waiting:
            self._later(self._flush)
        head = _HEAD.pack(7 + len(name) + len(payload), shard, seq, len(name))
        self._waiting += (head, name, payload)

    def _flush(self) -> None:
        self._transport.write(b"".join(self._waiting))
        self._waiting.clear()
