"""The way to the coordinator (does): events over ZeroMQ PUSH, control messages over a socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import zmq

from gwcluster.errors import WireError
from gwcluster.wire.control import Message, Pulse, Unframer, encode

PUSH_HIGH_WATER_MARK: Final = 2_000
"""Messages that wait for the coordinator; beyond it they stay in the log alone and are counted."""

LINGER_MS: Final = 2_000
_MAX_UNREAD_BYTES: Final = 1 << 20
_MORE: Final = zmq.SNDMORE | zmq.DONTWAIT


class Fanin:
    """Pushes events to the coordinator and never waits for it.

    Attributes:
        unpushed: events for which there was no room; subscribers find them in the log.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.unpushed = 0
        self._push = context.socket(zmq.PUSH)
        self._push.sndhwm = PUSH_HIGH_WATER_MARK
        self._push.linger = LINGER_MS
        self._push.connect(endpoint)
        self._send = self._push.send

    def push(self, topic: bytes, header: bytes, payload: bytes) -> None:
        """Push the three frames of an event, or count it."""
        try:
            self._send(topic, _MORE)
        except zmq.Again:
            self.unpushed += 1
            return
        self._send(header, _MORE)
        self._send(payload, zmq.DONTWAIT)

    def close(self) -> None:
        """Let what is queued go out for at most `LINGER_MS`, in the background."""
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
