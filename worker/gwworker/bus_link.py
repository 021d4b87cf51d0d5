"""The way to the coordinator (does): events over ZeroMQ PUSH, control messages over a socket pair."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import zmq

from gwcluster.errors import WireError
from gwcluster.wire.control import Message, Pulse, Unframer, encode

PUSH_HIGH_WATER_MARK: Final = 1_000
"""Messages in ZeroMQ's own queue. It counts no bytes, so what waits beyond it waits in ours, which does."""

BACKLOG_BYTES: Final = 16 << 20
"""Bytes that wait in our queue; what comes then is counted, and is in the log alone."""

RETRY_S: Final = 0.005
LINGER_MS: Final = 2_000
_MAX_UNREAD_BYTES: Final = 1 << 20
_MORE: Final = zmq.SNDMORE | zmq.DONTWAIT


class Fanin:
    """Pushes events to the coordinator, in order, and never waits for it.

    Args:
        backlog_bytes: how much may wait while the coordinator does not read.

    Attributes:
        unpushed: events for which there was no room; subscribers find them in the log.
    """

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, backlog_bytes: int = BACKLOG_BYTES
    ) -> None:
        self.unpushed = 0
        self._push = context.socket(zmq.PUSH)
        self._push.sndhwm = PUSH_HIGH_WATER_MARK
        self._push.linger = LINGER_MS
        self._push.connect(endpoint)
        self._send = self._push.send
        self._limit = backlog_bytes
        self._backlog: deque[tuple[bytes, bytes, bytes]] = deque()
        self._backlog_bytes = 0
        self._retry: asyncio.TimerHandle | None = None

    def push(self, events: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Push events of three frames each, now or when the coordinator reads again, or count them."""
        for frames in events:
            size = len(frames[2])
            if not self._backlog and self._try(frames):
                continue
            if self._backlog_bytes + size > self._limit:
                self.unpushed += 1
                continue
            self._backlog.append(frames)
            self._backlog_bytes += size
        if self._backlog:
            self._catch_up()

    def _try(self, frames: tuple[bytes, bytes, bytes]) -> bool:
        try:
            self._send(frames[0], _MORE)
        except zmq.Again:
            return False
        self._send(frames[1], _MORE)
        self._send(frames[2], zmq.DONTWAIT)
        return True

    def _catch_up(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        while self._backlog and self._try(self._backlog[0]):
            self._backlog_bytes -= len(self._backlog.popleft()[2])
        if self._backlog:
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._catch_up)

    async def close(self) -> None:
        """Let what waits go out, for at most `LINGER_MS` here and in the background each."""
        deadline = time.monotonic() + LINGER_MS / 1000
        while self._backlog and time.monotonic() < deadline:  # noqa: ASYNC110 - a timer empties it
            await asyncio.sleep(RETRY_S)
        if self._retry is not None:
            self._retry.cancel()
        self.unpushed += len(self._backlog)
        self._push.close()


class Control(asyncio.Protocol):
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
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

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
