"""Does: listens on loopback, feeds the rules with what arrives, and performs what they return."""

from __future__ import annotations

import asyncio
import contextlib
import http
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final, Self, assert_never
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from gwsimulator import rest
from gwsimulator.controls import Controls, Order
from gwsimulator.effects import Cut, Effect, Freeze, Hangup, Send
from gwsimulator.ledger import Ledger, Sink
from gwsimulator.rules import Gateway
from gwsimulator.scenario import Faults
from gwsimulator.settings import Settings
from gwsimulator.streams import stream
from gwsimulator.wire import Wire
from gwsimulator.world import World

_LOOPBACK: Final = "127.0.0.1"
_MAX_FRAME_BYTES: Final = 64 * 1024
"""More than the 4096 that the rules judge; beyond this the library hangs up with 1009."""
_FLOW_STEP_S: Final = 0.02

_log = logging.getLogger("gwsimulator.websockets")
# The library logs a traceback for each peer that goes away before its upgrade; the ledger knows better.
_log.addFilter(lambda record: not record.getMessage().startswith("opening handshake failed"))


class Simulator(Controls):
    """A stand-in Discord: `async with Simulator(Settings(...)) as sim`."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        sink: Sink | None = None,
        sink_payloads: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare one; it listens within `async with`.

        Args:
            settings: knobs; None: the defaults.
            sink: takes the ledger as JSON lines.
            sink_payloads: with whole payloads (base64) instead of their digests.
            clock: monotonic seconds.
        """
        self.settings = settings or Settings()
        self.world = World(self.settings)
        self.ledger = Ledger(
            self.settings.keep_dispatches, self.settings.keep_payload_bytes, sink, sink_payloads
        )
        self.faults = Faults()
        self.rules = Gateway(
            self.settings,
            world=self.world,
            ledger=self.ledger,
            faults=self.faults,
            resume_url=lambda: self.resume_url,
            new_session_id=lambda: secrets.token_hex(16),
        )
        self.gateway_url = ""
        self.resume_url = ""
        self._clock = clock
        self._wires: dict[int, Wire] = {}
        self._links = 0
        self._alarm: tuple[float, asyncio.TimerHandle] | None = None
        self._servers: list[Server] = []
        self._flow: asyncio.Task[None] | None = None

    @property
    def api(self) -> str:
        """Return the base of the REST API."""
        return self.gateway_url.replace("ws://", "http://") + "/api/v10"

    async def __aenter__(self) -> Self:
        """Listen on both ports.

        Raises:
            OSError: the port asked for is taken; choose another, or 0.
        """
        gateway, self.gateway_url = await self._listen("gateway", self.settings.port)
        self._servers.append(gateway)
        resume, self.resume_url = await self._listen("resume", 0)
        self._servers.append(resume)
        if self.settings.rate > 0:
            self._flow = asyncio.create_task(self._let_events_flow(), name="events")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drop every connection as a crash would, and stop listening."""
        if self._flow is not None:
            self._flow.cancel()
            await asyncio.gather(self._flow, return_exceptions=True)
        if self._alarm is not None:
            self._alarm[1].cancel()
        for wire in list(self._wires.values()):
            wire.flowing.set()
            wire.ws.transport.abort()
        for server in self._servers:
            server.close()
        for server in self._servers:
            await server.wait_closed()

    async def _listen(self, host: str, port: int) -> tuple[Server, str]:
        async def handle(ws: ServerConnection) -> None:
            await self._serve(ws, host)

        async def judge(ws: ServerConnection, request: Request) -> Response | None:
            return await self._before_upgrade(ws, request, rest_here=host == "gateway")

        server = await serve(
            handle,
            _LOOPBACK,
            port,
            process_request=judge,
            compression=None,
            ping_interval=None,
            max_size=_MAX_FRAME_BYTES,
            close_timeout=2,
            server_header=None,
            logger=_log,
        )
        return server, f"ws://{_LOOPBACK}:{next(iter(server.sockets)).getsockname()[1]}"

    async def _before_upgrade(
        self, ws: ServerConnection, request: Request, *, rest_here: bool
    ) -> Response | None:
        if rest_here and request.path.startswith("/api"):
            headers = {name: request.headers.get(name, "") for name in ("User-Agent", "Authorization")}
            answer = rest.answer(self.rules, request.path, headers, self.gateway_url, self._clock())
            self.ledger.flush()
            if answer.delay_s:
                await asyncio.sleep(answer.delay_s)
            if answer.status == 0:
                ws.transport.abort()
            return _response(answer.status or 500, answer.body, answer.headers)
        if self.faults.greetings and self.faults.greetings[0] == "refuse":
            self.faults.greetings.popleft()
            return _response(503, b"", {})
        return None

    async def _serve(self, ws: ServerConnection, host: str) -> None:
        self._links += 1
        link = self._links
        assert ws.request is not None  # the upgrade is done
        query = dict(parse_qsl(urlsplit(ws.request.path).query))
        compress = query.get("compress")
        dice = random.Random(self.settings.seed + link) if self.settings.split_zlib else None
        made = stream(compress if compress in self.settings.compressions else None, split=dice)
        wire = self._wires[link] = Wire(ws, made)
        wire.flowing.set()
        writer = asyncio.create_task(wire.write(), name=f"write {link}")
        code: int | None = None
        try:
            self._perform(self.rules.connected(link, host, query, self._clock()))
            while True:
                data = await ws.recv(decode=False)
                await wire.flowing.wait()
                self._perform(self.rules.received(link, data, self._clock()))
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else None
        finally:
            self._perform(self.rules.lost(link, code, self._clock()))
            del self._wires[link]
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    def order(self, order: Order) -> None:
        self._perform(order(self.rules, self._clock()))

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            wire = self._wires.get(effect.link)
            if wire is None:
                continue
            match effect:
                case Send():
                    wire.put(effect)
                case Hangup():
                    if wire.flowing.is_set():
                        wire.put(effect)
                    else:
                        wire.reset()
                case Cut():
                    wire.reset()
                case Freeze():
                    wire.freeze(frozen=effect.frozen)
                case _:
                    assert_never(effect)
        self.ledger.flush()
        self._set_alarm()

    def _set_alarm(self) -> None:
        at = self.rules.timers.next_at()
        if self._alarm is not None:
            if at is not None and at >= self._alarm[0]:
                return
            self._alarm[1].cancel()
            self._alarm = None
        if at is not None:
            later = max(0.0, at - self._clock())
            self._alarm = (at, asyncio.get_running_loop().call_later(later, self._ring))

    def _ring(self) -> None:
        self._alarm = None
        self._perform(self.rules.tick(self._clock()))

    async def _let_events_flow(self) -> None:
        """Let events happen on every shard at the settings' rate; what it can't keep up with is left out."""
        rate = self.settings.rate
        step_s = max(_FLOW_STEP_S, 1 / rate)
        since, done = self._clock(), 0
        while True:
            await asyncio.sleep(step_s)
            owed = int((self._clock() - since) * rate) - done
            done += owed
            if not self.rules.sessions.all():
                continue
            for shard in range(self.settings.shards):
                self.emit_random(shard, min(owed, max(1, int(rate))))


def _response(status: int, body: bytes, headers: Mapping[str, str]) -> Response:
    known = {one.value: one.phrase for one in http.HTTPStatus}
    fields = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    return Response(status, known.get(status, ""), Headers(fields), body)
