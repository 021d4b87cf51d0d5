"""The connections of HTTP clients (does): how many there may be, and what each may take.

Each is good for one request. Whoever sends or reads slowly, or nothing at all, has its time and is then cut
off; when all places are taken, the oldest connection that isn't a stream makes room.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any, Final

from aiohttp import web

from gwcluster.web.access import Refusal
from gwcluster.web.answers import refused
from gwcluster.web.limits import Limits

MAX_LINE_BYTES: Final = 4096
MAX_FIELD_BYTES: Final = 8190

log = logging.getLogger(__name__)


class Hall:
    """Where connections wait for their turn to be over.

    Args:
        limits: what they may take.

    Attributes:
        evicted: connections that had to make room, since the start.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.evicted = 0
        self._waiting: dict[Connection, None] = {}

    def enter(self, connection: Connection) -> None:
        """Take a new one in; the oldest goes if there is no place left."""
        if len(self._waiting) >= self.limits.connections:
            self.evicted += 1
            oldest = next(iter(self._waiting))
            self.leave(oldest)
            oldest.cut()
        self._waiting[connection] = None

    def leave(self, connection: Connection) -> None:
        """It has ended, or became a stream."""
        self._waiting.pop(connection, None)


class Connection(web.RequestHandler):
    """One client's connection.

    Args:
        manager: aiohttp's, with the handler.
        hall: where it counts.
        loop: the running one.
    """

    __slots__ = ("_deadline", "_hall", "_received")

    def __init__(self, manager: web.Server, hall: Hall, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=0.0,
            access_log=None,  # type: ignore[arg-type] # aiohttp means none by it
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            lingering_time=1.0,
            auto_decompress=False,  # what unpacks to more than was counted would go uncounted
        )
        self._hall = hall
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._deadline = asyncio.get_running_loop().call_later(self._hall.limits.whole_s, self.cut)
        self._hall.enter(self)
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._hall.limits.write_buffer_bytes)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._received += len(data)
        if self._received > self._hall.limits.received_bytes:
            self.cut()
            return
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        self._leave()
        super().connection_lost(exc)

    def becomes_stream(self) -> None:
        """Stay for as long as the client reads; somebody else counts it now."""
        self._leave()

    def cut(self) -> None:
        """End it at once, with whatever was to be sent."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, and what was our bug; see `aiohttp.web.RequestHandler`."""
        if status < 500:
            return refused(Refusal(status, "bad_request", (message or "this is no HTTP request")[:200]))
        log.error("bug: %s was not answered", request.path[:80], exc_info=exc)
        if request.writer.output_size:
            raise ConnectionError("an answer that has begun can't become another one")
        return refused(Refusal(500, "bug", "this is a bug of gwcluster's; its log says more"))

    def _leave(self) -> None:
        self._hall.leave(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def connection_of(request: web.BaseRequest) -> Connection:
    """Return the connection that a request came by."""
    protocol: Any = request.protocol
    assert isinstance(protocol, Connection)
    return protocol
