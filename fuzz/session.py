"""A session machine, fed with any events at any time (does): one socket, one permit, no illegal move, no end.

Events are made of their annotations, so whatever is added to `Event` is fed as well; `Unsent` comes only
where the shell says it, right after a handshake.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import Any, Final

from fuzz.cases import Target
from fuzz.made import field_names, made
from gwworker import effects as do
from gwworker import events
from gwworker.phases import EDGES, Phase
from gwworker.redial import Known
from gwworker.scan import Ack, Hello, InvalidSession, Ready
from gwworker.session import Session

KINDS: Final[tuple[type[Any], ...]] = tuple(
    kind for kind in events.Event.__args__ if kind is not events.Unsent
)
STEPS: Final = 80
START: Final = 10_000.0
FINAL: Final = frozenset({Phase.STOPPED, Phase.REFUSED})
SEEN: Final = (None, 1000, 1001, 1006, 1011, *range(4000, 4016), 4900, 4999)
PAUSES: Final = (0.0, 0.0, 0.001, 0.4, 1.0, 5.0, 20.0, 41.25, 90.0, 3600.0, 10.0**6)


@dataclass(slots=True)
class Book:
    """What the outside world is like, by the effects so far.

    Attributes:
        socket: None, "dialing", "open" or "closing".
        opening: IDENTIFY or RESUME was sent on this connection.
        asked: a permit was asked for, and neither given nor withdrawn.
        sent: moments at which something was sent on this connection.
        obeyable: beats at the intervals of its Hellos keep within the send limit.
    """

    socket: str | None = None
    opening: bool = False
    asked: bool = False
    sent: list[float] = field(default_factory=list)
    obeyable: bool = True

    def heard(self, event: events.Event) -> None:
        """Take note of what a peer did."""
        match event:
            case Hello():
                self.obeyable = self.obeyable and event.interval_s >= 1.0
            case events.Opened() if self.socket == "dialing":
                self.socket = "open"
            case events.DialFailed() if self.socket == "dialing":
                self.socket = None
            case events.Lost() if self.socket in {"open", "closing"}:
                self.socket = None
            case _:
                pass

    def performed(self, effect: do.Effect, now: float, *, permit: bool) -> None:
        """Take note of an effect, which must be possible."""
        match effect:
            case do.Dial():
                assert self.socket is None, "a second socket"
                self.socket, self.opening, self.obeyable = "dialing", False, True
                self.sent.clear()
            case do.Abort():
                assert self.socket is not None, "no socket to drop"
                self.socket = None
            case do.Hangup():
                assert effect.code not in {1000, 1001}, "a code that ends the session"
                assert 3000 <= effect.code <= 4999, "a code that no client may send"
                assert self.socket == "open", "no connection to hang up"
                self.socket = "closing"
            case do.SendBeat():
                assert self.socket == "open", "a beat without a connection"
                self._send(now)
            case do.SendIdentify() | do.SendResume():
                assert self.socket == "open", "a handshake without a connection"
                assert not self.opening, "two handshakes on one connection"
                assert permit or isinstance(effect, do.SendResume), "IDENTIFY without a permit"
                self.opening = True
                self._send(now)
            case do.AskPermit():
                assert not self.asked, "asked twice"
                self.asked = True
            case do.WithdrawPermit():
                assert self.asked, "nothing to withdraw"
                self.asked = False
            case _:
                pass

    def _send(self, now: float) -> None:
        self.sent.append(now)
        assert not self.obeyable or sum(at > now - 60.0 for at in self.sent) <= 120, "over the send limit"


def case(dice: random.Random) -> None:
    """Feed one session for a while, then leave it alone and see it come back."""
    jitter = dice.choice((0.0, 0.5, 0.999))
    saved = dice.random() < 0.5
    known = Known("5" * 32, dice.choice((None, "wss://gateway-us-east1-c.discord.gg"))) if saved else None
    seq = dice.choice((None, 0, 5)) if saved else None
    session = Session(number=dice.choice((0, 7)), known=known, seq=seq, jitter=lambda: jitter, now=START)
    book, now = Book(), START
    polite = dice.random()
    for _ in range(dice.randrange(STEPS)):
        now = _pause(dice, session, now)
        if dice.random() < 0.2:
            _accept(dice, session, now)
        else:
            event = _event(dice, session, now, polite)
            for _ in range(150 if dice.random() < 0.005 and not isinstance(event, events.Permitted) else 1):
                effects = fed(session, book, event, now)
                if dice.random() < 0.2 and (handshakes := _handshakes(effects)):
                    unsent = session.step(events.Unsent(), now)
                    assert unsent.count(do.ReturnPermit()) == handshakes.count(do.SendIdentify())
                    assert all(isinstance(effect, do.ReturnPermit | do.Say) for effect in unsent)
    _comes_back(session, book, now)


def fed(session: Session, book: Book, event: events.Event, now: float) -> list[do.Effect]:
    """Feed one event; whatever it causes must be allowed."""
    before = session.phase
    permit = isinstance(event, events.Permitted)
    usable = isinstance(event, events.Permitted) and now < event.until
    if permit:
        book.asked = False
    book.heard(event)
    effects = session.step(event, now)
    for effect in effects:
        book.performed(effect, now, permit=usable)
    identified = sum(isinstance(effect, do.SendIdentify) for effect in effects)
    returned = sum(isinstance(effect, do.ReturnPermit) for effect in effects)
    assert identified + returned == int(permit), "each permit is used or returned, once"
    if before in FINAL:
        assert session.phase is before, "left its last phase"
        assert all(isinstance(effect, do.ReturnPermit) for effect in effects), "active after its end"
    assert _is_way(before, session.phase), f"from {before.name} to {session.phase.name}"
    _look_at_due(session)
    return effects


def _handshakes(effects: list[do.Effect]) -> list[do.Effect]:
    return [effect for effect in effects if isinstance(effect, do.SendIdentify | do.SendResume)]


def _is_way(start: Phase, end: Phase) -> bool:
    """Whether `EDGES` lead there in two moves at most: no event causes more."""
    return start is end or end in EDGES[start] or any(end in EDGES[middle] for middle in EDGES[start])


def _look_at_due(session: Session) -> None:
    due = session.due
    assert due is None or math.isfinite(due), f"due at {due}"
    if session.phase in FINAL:
        assert due is None, "a timer after the end"
    elif session.phase is not Phase.QUEUED:
        assert due is not None, f"nothing wakes a session in phase {session.phase.name}"


def _event(dice: random.Random, session: Session, now: float, polite: float) -> events.Event:
    """Return the event that moves things on, or, now and then, any event."""
    if dice.random() < polite and (likely := _likely(session.phase)):
        kind = dice.choice(likely)
    else:
        kind = dice.choice(KINDS)
    event = made(dice, kind)
    if isinstance(event, events.Draining) and dice.random() < 0.9:
        return events.Tick()
    if isinstance(event, events.Permitted):
        return events.Permitted(now + dice.choice((-1.0, 0.0, 5.0, math.inf)))
    if isinstance(event, events.Lost):
        return events.Lost(dice.choice(SEEN) if dice.random() < 0.5 else None)
    if isinstance(event, Hello):  # the scanner lets nothing else through
        return Hello(dice.choice((0.001, 0.1, 1.0, 41.25, 3600.0)))
    if "seq" in field_names(kind):
        event = replace(event, seq=dice.choice((0, 1, 5, 6, 7, 8, 100, 10**18 - 1)))
    any_event: events.Event = event
    return any_event


def _likely(phase: Phase) -> tuple[type[Any], ...]:
    match phase:
        case Phase.OFFLINE:
            return (events.Tick,)
        case Phase.DIALING:
            return (events.Opened, events.Opened, events.DialFailed)
        case Phase.GREETING:
            return (Hello,)
        case Phase.QUEUED:
            return (events.Permitted,)
        case Phase.IDENTIFYING:
            return (Ready,)
        case Phase.RESUMING:
            return (events.Resumed, events.Resumed, InvalidSession)
        case Phase.CLOSING:
            return (events.Lost,)
        case _:
            return (Ack, events.Tick, events.Tick)


def _pause(dice: random.Random, session: Session, now: float) -> float:
    """Let time pass: any time, or right to the session's next moment."""
    if session.due is not None and dice.random() < 0.4:
        return max(now, session.due)
    return now + dice.choice(PAUSES)


def _accept(dice: random.Random, session: Session, now: float) -> None:
    before, seq = session.standing.seq, dice.choice((0, 1, 5, 6, 7, 8, 9, 50, 10**18 - 1))
    session.heartbeat.heard(now)
    if session.standing.accept(seq, now):
        assert session.phase in {Phase.LIVE, Phase.RESUMING}, "a dispatch outside of a session"
        assert before is None or seq > before, "a dispatch twice"
        assert session.standing.seq == seq
    else:
        assert session.standing.seq == before
    _look_at_due(session)


def _comes_back(session: Session, book: Book, now: float) -> None:
    """With nobody there, timers alone lead to the next dial; no timer is stuck in the past."""
    ticks = 0
    while not _is_over(session):
        assert session.due is not None
        if session.due > now:
            ticks, now = 0, session.due
        fed(session, book, events.Tick(), now)
        ticks += 1
        assert ticks < 8, f"still due in phase {session.phase.name}"
        assert now < START + 10.0**9, f"no new dial from phase {session.phase.name}"


def _is_over(session: Session) -> bool:
    return session.phase in FINAL or session.phase is Phase.DIALING


TARGET: Final = Target("session", case)
