"""Does: listens on loopback, feeds the rules with what arrives, and performs what they return."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable
from typing import Final, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from gwsimulator.controls import Controls, Order
from gwsimulator.effects import Drip, Effect, Freeze, Listen, Queued, SwapResumeHost
from gwsimulator.faults import Faults
from gwsimulator.hosts import Host
from gwsimulator.ledger import Ledger, Sink
from gwsimulator.rules import Gateway
from gwsimulator.settings import Settings
from gwsimulator.spelling import Respelled, as_it_is
from gwsimulator.streams import Fragmented, Stream, frame, stream
from gwsimulator.upgrades import Upgrades
from gwsimulator.wire import Wire
from gwsimulator.world import World

_FLOW_STEP_S: Final = 0.02


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
        dice = random.Random(self.settings.seed)
        self._spell = Respelled(dice) if self.settings.shuffle_keys else as_it_is
        self.rules = Gateway(
            self.settings,
            world=self.world,
            ledger=self.ledger,
            faults=self.faults,
            resume_url=lambda: self.resume_url,
            new_session_id=lambda: secrets.token_hex(16),
            spell=self._spell,
        )
        self.gateway_url = ""
        self.resume_url = ""
        self._clock = clock
        self._wires: dict[int, Wire] = {}
        self._links = 0
        self._alarm: tuple[float, asyncio.TimerHandle] | None = None
        self._hosts: dict[str, Host] = {}
        self._upgrades = Upgrades(self.rules, clock)
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
        self.gateway_url = self._open_host("gateway", self.settings.port).url
        self._upgrades.gateway_url = self.gateway_url
        self.resume_url = self._open_host("resume", 0).url
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
            wire.reading.set()
            wire.writing.set()
            wire.ws.transport.abort()
        self._upgrades.abort()
        for host in self._hosts.values():
            await host.close()

    def _open_host(self, name: str, port: int) -> Host:
        host = self._hosts[name] = Host(name, self._serve, self._upgrades.judge)
        host.up(port)
        return host

    async def _serve(self, ws: ServerConnection, host: str) -> None:
        self._links += 1
        link = self._links
        assert ws.request is not None  # the upgrade is done
        query = dict(parse_qsl(urlsplit(ws.request.path).query))
        wire = self._wires[link] = Wire(ws, self._stream(link, query.get("compress")), self._spell)
        wire.reading.set()
        wire.writing.set()
        writer = asyncio.create_task(wire.write(), name=f"write {link}")
        code: int | None = None
        try:
            self._perform(self.rules.connected(link, host, query, self._clock(), _peer(ws)))
            while True:
                data = await ws.recv(decode=False)
                await wire.reading.wait()
                self._perform(self.rules.received(link, data, self._clock()))
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else None
        finally:
            self._perform(self.rules.lost(link, code, self._clock()))
            del self._wires[link]
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    def _stream(self, link: int, compress: str | None) -> Stream:
        dice = random.Random(self.settings.seed + link)
        return stream(
            compress if compress in self.settings.compressions else None,
            split=dice if self.settings.split_zlib else None,
            framing=Fragmented(dice) if self.settings.fragment else frame,
        )

    def order(self, order: Order) -> None:
        self._perform(order(self.rules, self._clock()))

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Listen():
                    self._listen(effect)
                case SwapResumeHost():
                    self.resume_url = self._open_host(f"resume-{len(self._hosts)}", 0).url
                case _:
                    self._transmit(effect)
        self.ledger.flush()
        self._set_alarm()

    def _listen(self, effect: Listen) -> None:
        if effect.host not in self._hosts:
            raise ValueError(f"no host is named {effect.host!r:.80}; there are {', '.join(self._hosts)}")
        if effect.up:
            self._hosts[effect.host].up()
        else:
            self.rules.refused(effect.host, None, self._clock())
            self._hosts[effect.host].down()

    def _transmit(self, effect: Queued | Freeze | Drip) -> None:
        wire = self._wires.get(effect.link)
        if wire is None:
            return
        match effect:
            case Freeze():
                wire.freeze(reads=effect.reads, writes=effect.writes)
            case Drip():
                wire.bytes_per_s = effect.bytes_per_s
            case _:
                wire.put(effect)

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


def _peer(ws: ServerConnection) -> str:
    """Return the client's address and port; nothing when it has already gone."""
    address = ws.remote_address
    return f"{address[0]}:{address[1]}" if address else ""
