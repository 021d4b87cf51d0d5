"""A cluster and a Discord of nothing but deciders, for days of trouble: no sockets, logs, processes or loop.

Session machines, permits, gate, breaker and ledger are the real ones, and so are the simulator's rules and
its REST answers. Bytes arrive in the moment in which they are sent.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gwcluster.discord import gateway_url
from gwcluster.identify.gate import UNKNOWN, Gate
from gwcluster.identify.gateway_info import parse
from gwcluster.identify.ledger import Ledger
from gwcluster.identify.limits import Limits
from gwcluster.identify.permits import Permits
from gwcluster.identify.start import Start
from gwcluster.supervise.conditions import Watch
from gwcluster.wire import control as c
from gwsimulator import rest
from gwsimulator.effects import Cut, Effect, Freeze, Hangup, Send
from gwsimulator.faults import Faults
from gwsimulator.invariants import Received, broken, leaks, losses_told_once, missing_or_doubled
from gwsimulator.ledger import Ledger as Seen
from gwsimulator.rules import Gateway
from gwsimulator.settings import Settings
from gwsimulator.world import World
from gwworker import effects as do
from gwworker.events import Event, Lost, Opened, Permitted, Resumed, Tick
from gwworker.identity import beat_payload, identify_payload, resume_payload
from gwworker.phases import Phase
from gwworker.scan import Dispatch, parse_ready, read
from gwworker.session import Session
from support.jobs import TOKEN, job

START = 10_000.0
WALL = 1_790_000_000.0
REST_EVERY_S = 2.0
GATEWAY, RESUME = "ws://127.0.0.1:1/", "ws://127.0.0.1:2/"


@dataclass
class Shard:
    """One session machine and its connection, if it has one."""

    id: int
    session: Session
    link: int | None = None
    noted: float | None = None
    """The earliest moment at which its timer is going to be looked at."""


@dataclass
class Lean:
    """The whole of it.

    Args:
        folder: an empty one, for the ledger.
        settings: of the simulator.
        reserve: part of the day's identifies that is kept.
    """

    folder: Path
    settings: Settings
    reserve: float = 0.1
    now: float = START
    said: list[tuple[float, logging.LogRecord]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.settings.seed)
        self.seen = Seen()
        self.faults = Faults()
        numbers = itertools.count(1)
        self.gateway = Gateway(
            self.settings,
            world=World(self.settings),
            ledger=self.seen,
            faults=self.faults,
            resume_url=lambda: RESUME,
            new_session_id=lambda: f"{next(numbers):032x}",
        )
        self._links = itertools.count(1)
        self._of_link: dict[int, Shard] = {}
        self._order = itertools.count()
        self._dues: list[tuple[float, int]] = []
        self._arriving: tuple[Dispatch, bytes]
        self._stale = True  # when permits are due is costly to ask
        self._permits_due: float | None = None
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        count = self.settings.shards
        self.start = Start(count, tuple(range(count)))
        self.ledger = Ledger(self.folder / "identify.sqlite", clock=self.wall)
        self.gate = Gate(max_concurrency=1, budget=UNKNOWN, jitter=self.dice.random)
        self.limits = Limits(
            self.gate,
            self.ledger,
            self.start,
            api="http://127.0.0.1:1/api/v10",
            reserve=self.reserve,
            use_reserve=False,
            clock=self.clock,
            wall=self.wall,
        )
        self.permits = Permits(
            self.gate, self.ledger, shards=count, tell=self._tell, clock=self.clock, wall=self.wall
        )
        self.watch = Watch()
        self.shards = [
            Shard(
                id_,
                Session(number=0, known=None, seq=None, jitter=self.dice.random, now=self.now + 0.001 * id_),
            )
            for id_ in range(count)
        ]
        for shard in self.shards:
            self._note(shard)
        self._ask()
        self.at(self.now + REST_EVERY_S, self._ask_if_due)

    def __enter__(self) -> Lean:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def clock(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now - START

    @property
    def live(self) -> int:
        """How many shards are live."""
        return sum(shard.session.phase is Phase.LIVE for shard in self.shards)

    # Time

    def at(self, moment: float, what: Callable[[], None]) -> None:
        """Have something done at a moment."""
        heapq.heappush(self._agenda, (moment, next(self._order), what))

    def every(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something done again and again."""

        def again() -> None:
            what()
            self.at(self.now + seconds, again)

        self.at(self.now + seconds, again)

    def run_until(self, end: float) -> None:
        """Let time pass, from one moment at which something is due to the next."""
        while True:
            if self._stale:
                self._permits_due, self._stale = self.permits.due, False
            moments = [self._permits_due, self.gateway.timers.next_at()]
            moments += [heap[0][0] if heap else None for heap in (self._agenda, self._dues)]
            moment = min(moment for moment in moments if moment is not None)
            if moment > end:
                break
            self.now = max(self.now, moment)
            while self._agenda and self._agenda[0][0] <= self.now:
                heapq.heappop(self._agenda)[2]()
            self.perform(self.gateway.tick(self.now))
            while self._dues and self._dues[0][0] <= self.now:
                self._look(self.shards[heapq.heappop(self._dues)[1]])
            if self._permits_due is not None and self._permits_due <= self.now:
                self._permit()
        self.now = end

    def _look(self, shard: Shard) -> None:
        """See whether a session's timer has passed; it may have been moved since it was noted."""
        shard.noted = None
        due = shard.session.due
        if due is not None and due <= self.now:
            self._step(shard, Tick())
        self._note(shard)

    def _note(self, shard: Shard) -> None:
        due = shard.session.due
        if due is not None and (shard.noted is None or due < shard.noted):
            shard.noted = due
            heapq.heappush(self._dues, (due, shard.id))

    # REST

    def _ask_if_due(self) -> None:
        if self.limits.due:
            self._ask()
        self.at(self.now + REST_EVERY_S, self._ask_if_due)

    def _ask(self) -> None:
        headers = {"Authorization": f"Bot {TOKEN}", "User-Agent": "DiscordBot (https://example.test, 1)"}
        told = rest.answer(self.gateway, "/api/v10/gateway/bot", headers, GATEWAY, self.now)
        self.limits.take(parse(told.body, loopback_ok=True))
        self._stale = True

    # The cluster

    def _tell(self, shard: int, message: c.Message) -> None:
        if isinstance(message, c.Permit):
            self._step(self.shards[shard], Permitted(message.until))

    def _step(self, shard: Shard, event: Event) -> None:
        for effect in shard.session.step(event, self.now):
            self._do(shard, effect)
        self._note(shard)

    def _do(self, shard: Shard, effect: do.Effect) -> None:
        match effect:
            case do.Dial():
                self._dial(shard, effect.resume_url)
            case do.SendBeat():
                self._send(shard, beat_payload(shard.session.standing.seq))
            case do.SendIdentify():
                self._heard(shard, c.PermitUsed(0.0))
                self._send(shard, identify_payload(job(shard=shard.id, shards=len(self.shards))))
            case do.SendResume():
                self._send(shard, resume_payload(job(), effect.session_id, shard.session.standing.seq))
            case do.Hangup():
                self._leave(shard, effect.code)
                self.at(self.now, lambda: self._step(shard, Lost(None)))
            case do.Abort():
                self._leave(shard, None)
            case do.AskPermit():
                self._heard(shard, c.AskPermit())
            case do.WithdrawPermit():
                self._heard(shard, c.WithdrawPermit())
            case do.ReturnPermit():
                self._heard(shard, c.PermitUnused())
            case do.TellIdentifyRefused():
                self._heard(shard, c.IdentifyRefused())
            case do.Deliver():
                self._deliver(shard)
            case do.TellLost():
                self.lost.append((shard.id, effect.session))
            case do.Report() if effect.state in {"backoff", "resuming", "live"}:
                self.permits.needs_none(shard.id)
                if effect.state == "live":
                    self.permits.live(shard.id)
                self._stale = True

    def _heard(self, shard: Shard, message: c.Message) -> None:
        self.permits.heard(shard.id, message)
        self._stale = True
        self.at(self.now, self._permit)

    def _permit(self) -> None:
        self.permits.step()
        self._stale = True

    def _dial(self, shard: Shard, resume_url: str | None) -> None:
        assert shard.link is None, "a second socket"
        url = gateway_url(resume_url or GATEWAY, "none", plain_ok=True)
        query = dict(parse_qsl(urlsplit(url).query))
        link = shard.link = next(self._links)
        self._of_link[link] = shard

        def opened() -> None:
            if shard.link == link:
                self._step(shard, Opened())
                self.perform(
                    self.gateway.connected(link, "resume" if resume_url else "gateway", query, self.now)
                )

        self.at(self.now, opened)

    def _send(self, shard: Shard, payload: bytes) -> None:
        if shard.link is not None:
            self.perform(self.gateway.received(shard.link, payload, self.now))

    def _leave(self, shard: Shard, code: int | None) -> None:
        if shard.link is not None:
            link, shard.link = shard.link, None
            del self._of_link[link]
            self.gateway.lost(link, code, self.now)

    # Discord

    def perform(self, effects: list[Effect]) -> None:
        """Let the shards see what the gateway does."""
        for effect in effects:
            match effect:
                case Send(link, payload):
                    self._receive(link, payload)
                case Hangup(link, code):
                    self._lose(link, code)
                case Cut(link):
                    self._lose(link, None)
                case Freeze():
                    pass

    def _lose(self, link: int, code: int | None) -> None:
        shard = self._of_link.pop(link, None)
        if shard is not None:
            shard.link = None
            self._step(shard, Lost(code))

    def _receive(self, link: int, payload: bytes) -> None:
        shard = self._of_link.get(link)
        if shard is None or shard.session.phase is Phase.CLOSING:
            return
        shard.session.heartbeat.heard(self.now)
        for said, piece in read(payload):
            if not isinstance(said, Dispatch):
                self._step(shard, said)
                continue
            self._arriving = said, payload
            if said.name == "READY":
                self._step(shard, parse_ready(piece, said.seq))
            elif said.name == "RESUMED":
                self._step(shard, Resumed(said.seq))
            else:
                shard.session.standing.accept(said.seq, self.now)
                self._deliver(shard)

    def _deliver(self, shard: Shard) -> None:
        said, payload = self._arriving
        self.received.append(Received(shard.id, shard.session.standing.number, said.seq, said.name, payload))

    # What people see

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep what the coordinator logs meanwhile."""
        lean = self

        class Ear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                lean.said.append((lean.now - START, record))

        ear = Ear(logging.INFO)
        logger = logging.getLogger("gwcluster")
        logger.addHandler(ear)
        logger.setLevel(logging.INFO)
        try:
            yield
        finally:
            logger.removeHandler(ear)
            logger.setLevel(logging.NOTSET)

    def wrong(self, **limits: Any) -> list[str]:
        """Return a sentence for everything that was not as it must be, by every rule and invariant."""
        found = [f"violation of {one.rule}: {one.detail}" for one in self.seen.violations]
        reserve = math.ceil(self.reserve * self.settings.daily_limit)
        found += broken(self.seen, self.settings, reserve=reserve, until=self.now, **limits)
        found += [f"I8: {said}" for said in missing_or_doubled(self.seen, self.received)]
        found += [f"I9: {said}" for said in losses_told_once(self.received, self.lost)]
        texts = [record.getMessage() for _, record in self.said]
        return found + [f"I11: {said}" for said in leaks(TOKEN, texts)]

    def figures(self) -> dict[str, Any]:
        """Return counts of what Discord saw."""
        return {
            "connections": len(self.seen.connections),
            "identifies": len(self.seen.identifies),
            "resumes": len(self.seen.resumes),
            "beats": len(self.seen.beats),
            "live": self.live,
        }
