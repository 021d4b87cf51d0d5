"""Does: answers HTTP requests: calls of REST, and dials that a script wants to fail."""

from __future__ import annotations

import asyncio
import contextlib
import http
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gwsimulator import rest
from gwsimulator.faults import HttpAnswer
from gwsimulator.rules import Gateway
from gwsimulator.wire import reset

_GARBAGE: Final = b"220 mail.invalid ESMTP ready\r\n"


@dataclass(slots=True)
class Upgrades:
    """Judges requests before they become websockets."""

    rules: Gateway
    clock: Callable[[], float]
    gateway_url: str = ""
    """What REST names."""
    _waiting: set[ServerConnection] = field(default_factory=set)

    async def judge(self, ws: ServerConnection, request: Request, host: str) -> Response | None:
        """Answer a request to a host; None: let it become a websocket."""
        if host == "gateway" and request.path.startswith("/api"):
            return await self._rest(ws, request)
        fault = self.rules.faults.dials.take(host)
        if fault is None:
            return None
        self.rules.refused(host, fault.status if isinstance(fault, HttpAnswer) else 0, self.clock())
        match fault:
            case HttpAnswer():
                return _response(fault.status, fault.body, fault.headers)
            case "hang":
                await self._wait(ws, None)
            case "garbage":
                ws.transport.write(_GARBAGE)
                ws.transport.close()
            case "reset":
                reset(ws)
        return _nothing()

    def abort(self) -> None:
        """Drop those who still wait for an answer."""
        for ws in self._waiting:
            ws.transport.abort()

    async def _rest(self, ws: ServerConnection, request: Request) -> Response:
        headers = {name: request.headers.get(name, "") for name in ("User-Agent", "Authorization")}
        answer = rest.answer(self.rules, request.path, headers, self.gateway_url, self.clock())
        self.rules.ledger.flush()
        if answer.delay_s:
            await self._wait(ws, answer.delay_s)
        if answer.status == 0:
            reset(ws)
            return _nothing()
        return _response(answer.status, answer.body, answer.headers)

    async def _wait(self, ws: ServerConnection, seconds: float | None) -> None:
        """Wait, unless the peer goes away first; None: until it does."""
        self._waiting.add(ws)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ws.wait_closed(), seconds)
        self._waiting.discard(ws)


def _response(status: int, body: bytes, headers: Mapping[str, str]) -> Response:
    known = {one.value: one.phrase for one in http.HTTPStatus}
    fields = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    return Response(status, known.get(status, ""), Headers(fields), body)


def _nothing() -> Response:
    """Return what the library wants to hear of a connection that is gone; nobody gets it."""
    return _response(500, b"", {})
