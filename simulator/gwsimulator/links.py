"""Decides (pure): connections, as the rules see them, and every way in which one ends."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from gwsimulator.effects import Cut, Effect, Expire, Freeze, Hangup, HangupLater, Send, Timers
from gwsimulator.ledger import Ledger
from gwsimulator.limits import SendLimit
from gwsimulator.records import Close, Rule, Violation
from gwsimulator.sessions import Session, Sessions
from gwsimulator.settings import Settings
from gwsimulator.vocabulary import CloseCode

ACK: Final = b'{"t":null,"s":null,"op":11,"d":null}'
RECONNECT: Final = b'{"t":null,"s":null,"op":7,"d":null}'
BEAT_NOW: Final = b'{"t":null,"s":null,"op":1,"d":null}'
INVALID: Final = {
    True: b'{"t":null,"s":null,"op":9,"d":true}',
    False: b'{"t":null,"s":null,"op":9,"d":false}',
}


class Phase(enum.Enum):
    """Where a connection stands."""

    GREETED = "HELLO sent, no session"
    PENDING = "IDENTIFY or RESUME being answered"
    LIVE = "has a session"
    OVER = "closed by the server"


@dataclass(slots=True, eq=False)
class Link:
    """One websocket, from its upgrade to its end."""

    id: int
    host: str
    """`gateway` or `resume`."""
    compress: str | None
    sends: SendLimit
    beat_by: float
    phase: Phase = Phase.GREETED
    session: Session | None = None
    shard: int | None = None
    stalled: bool = False


@dataclass(slots=True)
class Links:
    """All open connections. Each method that ends one returns what to do about it."""

    settings: Settings
    sessions: Sessions
    ledger: Ledger
    timers: Timers
    _open: dict[int, Link] = field(default_factory=dict)

    def add(self, link: Link) -> None:
        """Keep a new connection."""
        self._open[link.id] = link

    def get(self, link_id: int | None) -> Link | None:
        """Return a connection, unless it is over."""
        return None if link_id is None else self._open.get(link_id)

    def all(self) -> list[Link]:
        """Return every open connection."""
        return list(self._open.values())

    def of_shard(self, shard: int) -> list[Link]:
        """Return the shard's connections that have a session."""
        return [link for link in self._open.values() if link.shard == shard and link.phase is Phase.LIVE]

    def patience_s(self) -> float:
        """Return how long the server waits for the next heartbeat."""
        settings = self.settings
        interval_s = settings.heartbeat_interval_ms / 1000
        return interval_s * (1 + settings.heartbeat_tolerance) + settings.heartbeat_grace_s

    def violation(self, rule: Rule, link: Link, detail: str, now: float) -> None:
        """Note that the client broke a rule."""
        self.ledger.add(Violation(now, rule, link.shard, detail))

    def refuse(self, link: Link, code: int, rule: Rule, detail: str, now: float) -> list[Effect]:
        """Note that the client broke a rule, and close with the code that Discord has for it."""
        self.violation(rule, link, detail, now)
        return self.hang_up(link, code, detail, now)

    def hang_up(self, link: Link, code: int, reason: str, now: float) -> list[Effect]:
        """Close with a code."""
        if link.phase is Phase.OVER:
            return []
        self._leave(link, code, reason, now)
        return [Hangup(link.id, code, reason)]

    def cut(self, link: Link, now: float) -> list[Effect]:
        """End without a close frame: a TCP reset."""
        if link.phase is Phase.OVER:
            return []
        self._leave(link, None, "", now)
        return [Cut(link.id)]

    def ask_to_reconnect(self, link: Link, now: float) -> list[Effect]:
        """Send op 7; the server closes some seconds later if the client did not."""
        later = HangupLater(link.id, CloseCode.GOING_AWAY, "Discord WebSocket requesting client reconnect.")
        self.timers.set(now + self.settings.reconnect_close_after_s, later)
        return [Send(link.id, RECONNECT)]

    def invalidate(self, link: Link, now: float, *, resumable: bool) -> list[Effect]:
        """Send op 9; the connection loses its session, and the session its life unless it is resumable."""
        session = link.session
        link.session, link.phase = None, Phase.GREETED
        if session is not None:
            self._detach(session, now)
            if not resumable:
                self.sessions.drop(session)
        return [Send(link.id, INVALID[resumable])]

    def stall(self, link: Link, now: float, *, stalled: bool) -> list[Effect]:
        """Stop, or go on, reading and writing on an open connection; its deadlines wait meanwhile."""
        link.stalled = stalled
        link.beat_by = now + self.patience_s()
        return [Freeze(link.id, stalled)]

    def lost(self, link_id: int, code: int | None, now: float) -> None:
        """Note that the client ended a connection; 1000 and 1001 end its session too."""
        link = self._open.pop(link_id, None)
        if link is None:
            return
        session = link.session
        self.ledger.add(Close(now, link_id, "client", code, "", link.shard, session.id if session else None))
        link.phase, link.session = Phase.OVER, None
        if session is not None:
            self._detach(session, now)
            if code in (CloseCode.NORMAL, CloseCode.GOING_AWAY):
                self.sessions.drop(session)

    def _leave(self, link: Link, code: int | None, reason: str, now: float) -> None:
        session = link.session
        self.ledger.add(
            Close(now, link.id, "server", code, reason, link.shard, session.id if session else None)
        )
        link.phase, link.session = Phase.OVER, None
        del self._open[link.id]
        if session is not None:
            self._detach(session, now)
            if code in self.settings.ending_codes:
                self.sessions.drop(session)

    def _detach(self, session: Session, now: float) -> None:
        session.link = None
        session.expires_at = now + self.settings.session_ttl_s
        self.timers.set(session.expires_at, Expire(session.id))
        if not session.live:  # nobody learned its id
            self.sessions.drop(session)
