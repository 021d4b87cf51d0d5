"""Does: the sockets of one host: it listens, refuses every TCP connection, and listens again on its port."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

_LOOPBACK: Final = "127.0.0.1"
_MAX_FRAME_BYTES: Final = 64 * 1024
"""More than the 4096 that the rules judge; beyond this the library hangs up with 1009."""

_BACKLOG: Final = 1024

_log = logging.getLogger("gwsimulator.websockets")
# The library logs a traceback for each peer that goes away before its upgrade; the ledger knows better.
_log.addFilter(lambda record: not record.getMessage().startswith("opening handshake failed"))

Serve = Callable[[ServerConnection, str], Awaitable[None]]
Judge = Callable[[ServerConnection, Request, str], Awaitable[Response | None]]


class Host:
    """One name of the gateway, with a port of its own."""

    def __init__(self, name: str, serve_one: Serve, judge: Judge) -> None:
        """Take what serves a websocket, and what judges a request before its upgrade."""
        self.name = name
        self.port = 0
        self._serve_one = serve_one
        self._judge = judge
        self._servers: list[Server] = []
        self._starting: asyncio.Task[None] | None = None
        self._listening: socket.socket | None = None
        self._placeholder: socket.socket | None = None

    @property
    def url(self) -> str:
        """Return its websocket URL."""
        return f"ws://{_LOOPBACK}:{self.port}"

    def up(self, port: int = 0) -> None:
        """Listen: on `port` at first (0: a free one), and on the same ever after.

        Raises:
            OSError: the port is taken.
        """
        if self._listening is not None:
            return
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
        # The backlog takes connections from now on, and the task serves them.
        self._listening = _bound(self.port or port)
        self._listening.listen(_BACKLOG)
        self.port = self._listening.getsockname()[1]
        self._starting = asyncio.create_task(self._start(self._listening), name=f"listen {self.name}")

    def down(self) -> None:
        """Refuse TCP connections; those that are there stay. The port is kept from other processes."""
        if self._listening is None:
            return
        if self._servers:
            self._servers[-1].server.close()
        self._stop_listening()
        self._placeholder = _bound(self.port)

    async def close(self) -> None:
        """Stop listening, and wait for what was served."""
        for server in self._servers:
            server.close()
        for server in self._servers:
            await server.wait_closed()
        self._stop_listening()
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._placeholder is not None:
            self._placeholder.close()

    def _stop_listening(self) -> None:
        if self._listening is None:
            return
        if self._starting is not None and not self._starting.done():
            # asyncio may watch the socket already, and forgets it only for servers that are complete.
            asyncio.get_running_loop().remove_reader(self._listening)
            self._starting.cancel()
        self._listening.close()
        self._listening = None

    async def _start(self, listening: socket.socket) -> None:
        async def handle(ws: ServerConnection) -> None:
            await self._serve_one(ws, self.name)

        async def judge(ws: ServerConnection, request: Request) -> Response | None:
            return await self._judge(ws, request, self.name)

        server = await serve(
            handle,
            sock=listening,
            backlog=_BACKLOG,
            process_request=judge,
            compression=None,
            ping_interval=None,
            open_timeout=None,
            max_size=_MAX_FRAME_BYTES,
            close_timeout=2,
            server_header=None,
            logger=_log,
        )
        self._servers.append(server)


def _bound(port: int) -> socket.socket:
    """Return a socket that has a port and does not listen."""
    # Without its protocol named, asyncio would leave Nagle's algorithm on for what it accepts.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((_LOOPBACK, port))
    except OSError:
        made.close()
        raise
    return made
