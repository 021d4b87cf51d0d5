"""The way to the coordinator (does): events as a ZeroMQ PUSH, control messages over a socket pair."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final, cast

from gwcluster.errors import WireError
from gwcluster.wire.control import Message, Pulse, Unframer, encode
from gwworker import zmtp

BACKLOG_BYTES: Final = 16 << 20
"""Bytes that wait for the coordinator to read; what comes then is counted, and is in the log alone."""

RETRY_S: Final = 0.1
LINGER_S: Final = 2.0
_MAX_UNREAD_BYTES: Final = 1 << 20

Frames = tuple[bytes, bytes, bytes]
"""An event: topic, header, payload."""

log = logging.getLogger(__name__)

_READ: Final = memoryview(bytearray(1 << 12))
"""Takes what the coordinator says. asyncio would map 256 KiB for each read, and unmap them again."""


class Fanin(asyncio.Protocol):
    """Pushes events to the coordinator, in order, and never waits for it.

    Args:
        path: of the coordinator's PULL socket.
        backlog_bytes: how much may wait while the coordinator does not read. One event always may.

    Attributes:
        unpushed: events for which there was no room; subscribers find them in the log.
    """

    def __init__(self, path: str, backlog_bytes: int = BACKLOG_BYTES) -> None:
        self.unpushed = 0
        self._path = path
        self._limit = backlog_bytes
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._handshake = zmtp.Handshake()
        self._ready = False
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._gone = self._loop.create_future()
        self._connecting = self._loop.create_task(self._connect())

    def push(self, events: Sequence[Frames]) -> None:
        """Push events, now or when the coordinator reads again, or count them."""
        waiting = self.waiting
        data = zmtp.encode(self._that_fit(events, waiting) if waiting else events)
        if self._ready and self._transport is not None:
            self._transport.write(data)
        else:
            self._early.append(data)
            self._early_bytes += len(data)

    @property
    def waiting(self) -> int:
        """Bytes that the coordinator hasn't read yet, as far as we keep them."""
        if self._transport is None:
            return self._early_bytes
        return self._early_bytes + self._transport.get_write_buffer_size()

    def _that_fit(self, events: Sequence[Frames], waiting: int) -> list[Frames]:
        fitting: list[Frames] = []
        for event in events:
            size = sum(map(len, event))
            if waiting + size > self._limit:
                self.unpushed += 1
            else:
                fitting.append(event)
                waiting += size
        return fitting

    async def close(self) -> None:
        """Let what waits go out, for at most `LINGER_S`."""
        self._closing = True
        if self._ready and self._transport is not None:
            self._transport.close()
        if self._ready or self._early:
            await asyncio.wait([self._gone], timeout=LINGER_S)
        self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self) -> None:
        told = False
        while True:
            try:
                await self._loop.create_unix_connection(lambda: self, self._path)
            except OSError as error:
                if not told:
                    log.warning("no way to the coordinator's fan-in yet, events wait: %s", error)
                told = True
                await asyncio.sleep(RETRY_S)
            else:
                return

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(zmtp.GREETING + zmtp.READY)

    def data_received(self, data: bytes) -> None:
        """Take the coordinator's half of the handshake; a PULL says nothing after it."""
        assert self._transport is not None, "only a transport calls this"
        if self._ready:
            return
        try:
            self._ready = self._handshake.heard(data)
        except WireError as error:
            log.warning("the coordinator's fan-in is none: %s", error)
            self._transport.abort()
        if self._ready:
            self._transport.writelines(self._early)
            self._early.clear()
            self._early_bytes = 0
            if self._closing:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Begin anew; what the coordinator hadn't read is in the log."""
        self._transport = None
        self._handshake = zmtp.Handshake()
        self._ready = False
        if self._closing:
            if not self._gone.done():
                self._gone.set_result(None)
        else:
            log.warning("the coordinator's fan-in has hung up (%s); connecting again", error or "end of file")
            self._connecting = self._loop.create_task(self._connect_later())

    async def _connect_later(self) -> None:
        await asyncio.sleep(RETRY_S)
        await self._connect()


class Control(asyncio.BufferedProtocol):
    """Control messages from and to the coordinator.

    Args:
        heard: called with each message.
        orphaned: called when the coordinator is gone or talks nonsense.
    """

    def __init__(self, heard: Callable[[Message], None], orphaned: Callable[[str], None]) -> None:
        self._heard = heard
        self._orphaned = orphaned
        self._unframer = Unframer()
        self._transport: asyncio.Transport | None = None

    async def attach(self, end: socket.socket) -> None:
        """Begin to listen on our end of the socket pair."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)

    def tell(self, message: Message) -> None:
        """Send a message; a pulse is dropped when the coordinator has not read for long."""
        if self._transport is None or self._transport.is_closing():
            return
        if isinstance(message, Pulse) and self._transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            return
        self._transport.write(encode(message))

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; what is told must leave at once, even if this loop is stuck."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Lend room for one read."""
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.data_received(bytes(_READ[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Hand over the messages that `data` completes."""
        try:
            for message in self._unframer.feed(data):
                self._heard(message)
        except WireError as error:
            self._orphaned(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        """The coordinator is gone."""
        self._orphaned(f"control channel closed ({error or 'end of file'})")
