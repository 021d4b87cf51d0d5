"""The simulator's rules with a fake clock and no sockets: what a client would see, as parsed messages."""

from __future__ import annotations

import itertools
import json
from typing import Any

from gwsimulator.effects import Cut, Effect, Freeze, Hangup, Send
from gwsimulator.faults import Faults
from gwsimulator.invariants import broken
from gwsimulator.ledger import Ledger
from gwsimulator.rules import Gateway
from gwsimulator.settings import Settings
from gwsimulator.world import Event, World

QUERY = {"v": "10", "encoding": "json"}
GUILDS_AND_MESSAGES = 1 | 512


class Rig:
    """A gateway at 10,000.0 s, and what it sent to each connection."""

    def __init__(self, **settings: Any) -> None:
        defaults: dict[str, Any] = {"shards": 2, "guilds": 4}
        self.settings = Settings(**{**defaults, **settings})
        self.now = 10_000.0
        self.ledger = Ledger()
        self.faults = Faults()
        self.world = World(self.settings)
        ids = itertools.count(1)
        self.gateway = Gateway(
            self.settings,
            world=self.world,
            ledger=self.ledger,
            faults=self.faults,
            resume_url=lambda: "ws://resume.test",
            new_session_id=lambda: f"{next(ids):032x}",
        )
        self._links = itertools.count(1)
        self.inbox: dict[int, list[dict[str, Any]]] = {}
        self.ended: dict[int, int | None] = {}
        self.raw: list[Effect] = []

    def dial(self, host: str = "gateway", *, peer: str = "", **query: str) -> int:
        link = next(self._links)
        self.inbox[link] = []
        self.perform(self.gateway.connected(link, host, query or QUERY, self.now, peer))
        return link

    def send(self, link: int, op: int, d: Any = None) -> list[dict[str, Any]]:
        return self.send_raw(link, json.dumps({"op": op, "d": d}).encode())

    def send_raw(self, link: int, data: bytes) -> list[dict[str, Any]]:
        self.perform(self.gateway.received(link, data, self.now))
        return self.take(link)

    def identify(self, link: int, shard: object = 0, **fields: Any) -> list[dict[str, Any]]:
        """Identify for a shard of two, or with any `shard` field; `...` leaves a field out."""
        place = [shard, 2] if isinstance(shard, int) else shard
        d = {"token": "abc", "intents": GUILDS_AND_MESSAGES, "shard": place, "properties": {}, **fields}
        return self.send(link, 2, {key: value for key, value in d.items() if value is not ...})

    def resume(self, link: int, session: str, seq: int, token: str = "abc") -> list[dict[str, Any]]:
        return self.send(link, 6, {"token": token, "session_id": session, "seq": seq})

    def go_live(self, shard: int = 0) -> tuple[int, str]:
        """Dial, identify, forget READY and the guilds; return connection and session."""
        link = self.dial()
        self.take(link)
        ready = self.identify(link, shard)[0]
        assert ready["t"] == "READY"
        return link, ready["d"]["session_id"]

    def lose(self, link: int, code: int | None = None) -> None:
        self.perform(self.gateway.lost(link, code, self.now))

    def run_for(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.now + seconds
        while (at := self.gateway.timers.next_at()) is not None and at <= end:
            self.now = max(self.now, at)
            self.perform(self.gateway.tick(self.now))
        self.now = end

    def take(self, link: int) -> list[dict[str, Any]]:
        got, self.inbox[link] = self.inbox[link], []
        return got

    def perform(self, effects: list[Effect]) -> None:
        self.raw += effects
        for effect in effects:
            match effect:
                case Send(link, payload):
                    self.inbox[link].append(json.loads(payload))
                case Hangup(link, code):
                    self.ended[link] = code
                case Cut(link):
                    self.ended[link] = None
                case Freeze():
                    pass

    def live_for(self, link: int, seconds: float, every_s: float = 41.25) -> None:
        """Let time pass on a connection that beats as it should, with the last number it got."""
        end = self.now + seconds
        while self.now + every_s <= end:
            self.run_for(every_s)
            holder = self.gateway.links.get(link)
            session = holder.session if holder else None
            self.send(link, 1, session.seq if session else None)
        self.run_for(end - self.now)

    def happen(self, name: str = "A", shard: int = 0) -> None:
        """Dispatch something to a shard's sessions."""
        self.perform(self.gateway.delivery.tell(shard, Event(name, b"{}", None), self.now))

    def broken(self, **terms: Any) -> list[str]:
        """Return which invariants were broken until now."""
        return broken(self.ledger, self.settings, **{"until": self.now, **terms})

    def rules_broken(self) -> list[str]:
        return [violation.rule for violation in self.ledger.violations]
