"""The HTTP server (does): which path is answered with what. docs/http.md describes it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web
from prometheus_client.core import Metric

from gwcluster.binding import BindError
from gwcluster.discord import is_loopback
from gwcluster.web.access import Refusal, may_operate
from gwcluster.web.answers import answer, as_json, refused, text
from gwcluster.web.connection import Connection, Hall
from gwcluster.web.exposition import Exposition
from gwcluster.web.limits import Limits
from gwcluster.web.listener import who_listens
from gwcluster.web.metrics import Visits, families
from gwcluster.web.orders import MAX_BODY_BYTES, Restart, restart
from gwcluster.web.pages import pages
from gwcluster.web.readiness import judge
from gwcluster.web.streams import Streams
from gwcluster.web.watch import Operations, Watch

LIMITS: Final = Limits()

CLOSE_S: Final = 1.0
"""What answers that are under way get when the cluster stops."""

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


class Web:
    """Serves HTTP from `start` to `close`.

    Args:
        host: `*`, a name or an address of this machine; IPv6 without brackets.
        port: 0 for a free one.
        operations: the cluster.
        token: what a POST must have, None: see `gwcluster.web.access`.
        clock: monotonic seconds.
        limits: what clients may take.

    Attributes:
        port: the one that is bound, once it is.
    """

    def __init__(
        self,
        host: str,
        port: int,
        operations: Operations,
        *,
        token: str | None,
        clock: Callable[[], float],
        limits: Limits = LIMITS,
    ) -> None:
        self.port = port
        self._host = host
        self._local = is_loopback(host)
        self._token = token
        self._operations = operations
        self._hall = Hall(limits)
        self._streams = Streams(limits)
        self._watch = Watch(operations, self._streams)
        self._exposition = Exposition(self._metrics, clock=clock)
        self._pages = pages()
        self._get: dict[str, _Handler] = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._scrape,
            "/api/status": self._status,
            "/api/history": self._history,
            "/api/stream": self._stream,
            **dict.fromkeys(self._pages, self._page),
        }
        self._post: dict[str, _Handler] = {"/api/restart": self._restart}
        self._manager: web.Server | None = None
        self._server: asyncio.Server | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            BindError: the address can't be bound; the message says who has it, if that can be seen.
        """
        loop = asyncio.get_running_loop()
        manager = self._manager = web.Server(self._answer, handler_cancellation=True)
        try:
            self._server = await loop.create_server(
                functools.partial(Connection, manager, self._hall, loop=loop),
                None if self._host == "*" else self._host,
                self.port,
                reuse_address=True,
            )
        except OSError as error:
            raise BindError(self._why(error)) from error
        self.port = self._server.sockets[0].getsockname()[1]
        self._watching = loop.create_task(self._watch.run())
        log.info("HTTP is served at http://%s", self._shown())
        if not self._local and self._token is None:
            log.warning(
                "anybody who reaches %s can read metrics and status; nobody can restart anything there, "
                "as http.token_file is not set",
                self._shown(),
            )

    async def close(self) -> None:
        """Take no more, let go who reads the stream, and close."""
        self._streams.close()
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        if self._server is not None and self._manager is not None:
            self._server.close()
            await self._manager.shutdown(CLOSE_S)

    # Answers

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        handlers = {"GET": self._get, "HEAD": self._get, "POST": self._post}.get(request.method, {})
        if (handler := handlers.get(request.path)) is not None:
            return await handler(request)
        if request.path in self._get or request.path in self._post:
            allowed = "GET, HEAD" if request.path in self._get else "POST"
            response = refused(Refusal(405, "method_not_allowed", f"here {allowed} is allowed"))
            response.headers["Allow"] = allowed
            return response
        return refused(Refusal(404, "not_found", "there is no such path"))

    async def _healthz(self, _: web.BaseRequest) -> web.StreamResponse:
        """This loop is the one that controls the cluster: if it hangs, nobody gets this answer."""
        return as_json({"ok": True})

    async def _readyz(self, request: web.BaseRequest) -> web.StreamResponse:
        readiness = judge(self._watch.look())
        status = 200 if readiness.ok else 503
        if "text/plain" in request.headers.get("Accept", ""):
            return text(readiness.text(), status)
        return as_json(readiness.document(), status)

    async def _scrape(self, request: web.BaseRequest) -> web.StreamResponse:
        return answer(*await self._exposition.scrape(request.headers.get("Accept", "")))

    async def _status(self, _: web.BaseRequest) -> web.StreamResponse:
        return as_json(self._watch.look())

    async def _history(self, _: web.BaseRequest) -> web.StreamResponse:
        self._watch.look()
        return as_json(self._watch.history.document())

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "HEAD":
            return answer(b"", "text/event-stream")
        return await self._streams.serve(request, self._watch.look())

    async def _page(self, request: web.BaseRequest) -> web.StreamResponse:
        return answer(*self._pages[request.path])

    async def _restart(self, request: web.BaseRequest) -> web.StreamResponse:
        if (refusal := may_operate(request.headers, token=self._token, local=self._local)) is not None:
            return refused(refusal)
        body = await _body(request)
        asked = body if isinstance(body, Refusal) else restart(body)
        if isinstance(asked, Refusal):
            return refused(asked)
        return self._perform(asked)

    def _perform(self, asked: Restart) -> web.StreamResponse:
        if asked.shard is not None and asked.shard not in self._operations.status()["ids"]:
            return refused(Refusal(404, "unknown_shard", f"this cluster doesn't run shard {asked.shard}"))
        log.info("a restart of %s is asked for over HTTP", _named(asked))
        why_not = self._operations.restart(asked.shard, rolling=asked.rolling)
        if why_not is not None:
            return refused(Refusal(409, "not_ready", why_not))
        return as_json({"ok": True}, 202)

    # Further

    def _metrics(self) -> Callable[[], Iterable[Metric]]:
        document = self._watch.look()
        sums = {shard: self._watch.totals.of(shard) for shard in document["ids"]}
        visits = Visits(len(self._streams), self._streams.slow, self._hall.evicted)
        return lambda: families(document, sums.__getitem__, visits)

    def _shown(self) -> str:
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    def _why(self, error: OSError) -> str:
        if isinstance(error, socket.gaierror):
            return f"can't bind {self._shown()}: there is no such host; write an address of this machine"
        if error.errno == errno.EADDRINUSE:
            who = who_listens(self.port) or "another process"
            return f"can't bind {self._shown()}: {who} listens there; stop it, or write another http.bind"
        return f"can't bind {self._shown()}: {os.strerror(error.errno or 0).lower()}"


async def _body(request: web.BaseRequest) -> bytes | Refusal:
    """Read what was posted; how long that may take is up to the connection."""
    body = b""
    while chunk := await request.content.read(MAX_BODY_BYTES + 1 - len(body)):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return Refusal(413, "too_large", f"a body has at most {MAX_BODY_BYTES} bytes")
    return body


def _named(asked: Restart) -> str:
    what = "all shards" if asked.shard is None else f"shard {asked.shard}"
    return f"{what}, one after the other," if asked.rolling else what
