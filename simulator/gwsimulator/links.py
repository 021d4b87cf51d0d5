"""Decides (pure): connections, as the rules see them, and every way in which one ends."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

from gwsimulator.effects import Cut, Effect, Expire, Freeze, Hangup, HangupLater, Later, Send, Timers
from gwsimulator.faults import Ending, Interruption, LateEnd
from gwsimulator.ledger import Ledger
from gwsimulator.limits import SlidingLimit
from gwsimulator.records import Close, Rule, Stall, Violation
from gwsimulator.sessions import Session, Sessions
from gwsimulator.settings import Settings
from gwsimulator.vocabulary import CloseCode

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
    sends: SlidingLimit
    presences: SlidingLimit
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

    def plain(self, link: Link, payload: bytes) -> Send:
        """Return how a message that is no dispatch is sent: as captures show it, or without its nulls."""
        if self.settings.terse:
            payload = payload.replace(b'"t":null,"s":null,', b"", 1).replace(b',"d":null}', b"}", 1)
        return Send(link.id, payload)

    def violation(self, rule: Rule, link: Link, detail: str, now: float) -> None:
        """Note that the client broke a rule."""
        self.ledger.add(Violation(now, rule, link.shard, detail))

    def refuse(self, link: Link, code: int | None, rule: Rule, detail: str, now: float) -> list[Effect]:
        """Note that the client broke a rule, and close with the code that Discord has for it."""
        self.violation(rule, link, detail, now)
        return self.hang_up(link, code, detail, now)

    def hang_up(self, link: Link, code: int | None, reason: str, now: float) -> list[Effect]:
        """Close with a code, or reset when it is None."""
        if code is None:
            return self.cut(link, now)
        if link.phase is Phase.OVER:
            return []
        self._leave(link, code, reason, now)
        return [Hangup(link.id, code, reason)]

    def cut(self, link: Link, now: float, *, in_turn: bool = False, fin: bool = False) -> list[Effect]:
        """End without a close frame: by a TCP reset at once or in turn, or by an end of file."""
        if link.phase is Phase.OVER:
            return []
        self._leave(link, None, "", now)
        return [Cut(link.id, in_turn, fin)]

    def end(self, link: Link, how: Ending, now: float) -> list[Effect]:
        """End as a script has it, after everything before it."""
        match how:
            case "abort" | "eof":
                return self.cut(link, now, in_turn=True, fin=how == "eof")
            case code:
                return self.hang_up(link, code, "As the scenario has it.", now)

    def end_later(self, link: Link, planned: LateEnd | None, now: float) -> list[Effect]:
        """End now or later, if that is planned."""
        if planned is None:
            return []
        if planned.after_s <= 0:
            return self.end(link, planned.how, now)
        self.timers.set(
            now + planned.after_s, Later(lambda gateway, at: gateway.links.end(link, planned.how, at))
        )
        return []

    def interrupt(self, link: Link, how: Interruption, now: float) -> list[Effect]:
        """Break off a replay; with op 7 the connection gets nothing more of its session."""
        match how:
            case "op7":
                self.release(link, now)
                return self.ask_to_reconnect(link, now)
            case "op9":
                return self.invalidate(link, now, resumable=False)
            case ending:
                return self.end(link, ending, now)

    def ask_to_reconnect(self, link: Link, now: float) -> list[Effect]:
        """Send op 7; the server closes some seconds later if the client did not."""
        later = HangupLater(link.id, CloseCode.GOING_AWAY, "Discord WebSocket requesting client reconnect.")
        self.timers.set(now + self.settings.reconnect_close_after_s, later)
        return [self.plain(link, RECONNECT)]

    def invalidate(self, link: Link, now: float, *, resumable: bool) -> list[Effect]:
        """Send op 9; the connection loses its session, and the session its life unless it is resumable."""
        session = self.release(link, now)
        if session is not None and not resumable:
            self.sessions.drop(session)
        return [self.plain(link, INVALID[resumable])]

    def release(self, link: Link, now: float) -> Session | None:
        """Take its session from a connection that stays open, and return it."""
        session = link.session
        link.session, link.phase = None, Phase.GREETED
        if session is not None:
            self._detach(session, now)
        return session

    def stall(self, link: Link, now: float, *, reads: bool, writes: bool) -> list[Effect]:
        """Stop, or go on, reading or writing on an open connection; unread, its deadlines wait."""
        link.stalled = reads
        link.beat_by = now + self.patience_s()
        self.ledger.add(Stall(now, link.id, reads or writes))
        return [Freeze(link.id, reads, writes)]

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
