"""One shard's session with Discord (pure): takes events and the time, returns what to do about them.

`EDGES` is the machine; docs/session.md draws it. There is one timer, `due`, and whoever runs the
machine sends a `Tick` when it passes, so no forgotten timer of an old connection can act on a new one.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Final, assert_never

from gwcluster.discord import close_meaning
from gwcluster.wire.notices import ShardState
from gwworker.closing import CLOSE_RESUMABLE, Action, rule_for
from gwworker.effects import (
    Abort,
    AskPermit,
    Deliver,
    Dial,
    Effect,
    Forget,
    GiveUp,
    Hangup,
    Remember,
    Report,
    ReturnPermit,
    Say,
    SendBeat,
    SendIdentify,
    SendResume,
    TellIdentifyRefused,
    TellLost,
    WithdrawPermit,
)
from gwworker.events import DialFailed, Draining, Event, Faulty, Lost, Opened, Permitted, Resumed, Tick
from gwworker.heartbeat import Heartbeat, Verdict
from gwworker.redial import Known, Redial
from gwworker.scan import Ack, BeatRequest, Hello, InvalidSession, Ready, Reconnect, UnknownOp


class Phase(enum.Enum):
    """Where the shard stands."""

    OFFLINE = "no socket; dials at `due`"
    DIALING = "TCP, TLS and websocket handshake under way"
    GREETING = "socket open, Hello not seen"
    QUEUED = "waiting for the coordinator's permit to identify"
    IDENTIFYING = "IDENTIFY sent, READY not seen"
    RESUMING = "RESUME sent, RESUMED not seen"
    LIVE = "receiving events"
    CLOSING = "our close frame sent, the socket not yet closed"
    STOPPED = "asked to stop"
    REFUSED = "Discord will not have us"


_LIVE: Final = Phase.LIVE  # looked up once, for every dispatch asks
_OUT: Final = frozenset({Phase.OFFLINE, Phase.CLOSING, Phase.STOPPED, Phase.REFUSED})

EDGES: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.OFFLINE: frozenset({Phase.DIALING, Phase.STOPPED}),
    Phase.DIALING: frozenset({Phase.GREETING, Phase.OFFLINE, Phase.STOPPED}),
    Phase.GREETING: _OUT | {Phase.QUEUED, Phase.RESUMING},
    Phase.QUEUED: _OUT | {Phase.IDENTIFYING},
    Phase.IDENTIFYING: _OUT | {Phase.LIVE},
    Phase.RESUMING: _OUT | {Phase.LIVE},
    Phase.LIVE: _OUT,
    Phase.CLOSING: frozenset({Phase.OFFLINE, Phase.STOPPED}),
    Phase.STOPPED: frozenset(),
    Phase.REFUSED: frozenset(),
}
"""The only legal moves."""

DIAL_S: Final = 15.0
HELLO_S: Final = 20.0
READY_S: Final = 90.0
RESUMED_S: Final = 60.0
CLOSE_S: Final = 2.0
FRUITLESS_RESUMES: Final = 3
"""RESUMEs in a row without one event, after which the session is taken for dead."""

STATES: Final[dict[Phase, ShardState]] = {
    Phase.OFFLINE: ShardState.BACKOFF,
    Phase.DIALING: ShardState.CONNECTING,
    Phase.QUEUED: ShardState.QUEUED,
    Phase.IDENTIFYING: ShardState.IDENTIFYING,
    Phase.RESUMING: ShardState.RESUMING,
    Phase.LIVE: ShardState.LIVE,
    Phase.STOPPED: ShardState.STOPPED,
    Phase.REFUSED: ShardState.FAILED,
}
"""The phases that others are told about."""


class Session:
    """The state machine of one shard.

    Args:
        number: of the last session in the shard's log, 0 for none.
        known: that session, if it may be resumed.
        seq: last seq of it in the log.
        jitter: returns a number from 0 up to 1, uniformly.
        now: monotonic seconds.
    """

    def __init__(
        self, *, number: int, known: Known | None, seq: int | None, jitter: Callable[[], float], now: float
    ) -> None:
        self.number = number
        self.phase = Phase.OFFLINE
        self.heartbeat = Heartbeat()
        self.duplicates = 0
        self.gaps = 0
        self._known = known
        self._received_seq = seq
        self._lost_reason = "no saved session"
        self._jitter = jitter
        self._redial = Redial(jitter=jitter)
        self._fruitless = 0
        self._deadline: float | None = now

    @property
    def due(self) -> float | None:
        """Monotonic moment at which a `Tick` is wanted, None for never."""
        moments = [moment for moment in (self._deadline, self.heartbeat.due) if moment is not None]
        return min(moments, default=None)

    @property
    def seq(self) -> int | None:
        """Last seq received of the session that goes on, None between two sessions."""
        return None if self._known is None else self._received_seq

    def accept(self, seq: int, now: float) -> bool:
        """Take note of a dispatch other than READY and RESUMED; say whether it is to be delivered.

        A dispatch outside of a session, and one whose seq was delivered already, is not.
        """
        if self.phase is not _LIVE:
            if self.phase is not Phase.RESUMING:
                return False
            self._deadline = now + RESUMED_S
            self._fruitless = 0
        last = self._received_seq
        if last is not None:
            if seq <= last:
                self.duplicates += 1
                return False
            if seq != last + 1:
                self.gaps += 1
        self._received_seq = seq
        return True

    def step(self, event: Event, now: float) -> list[Effect]:
        """Apply one event at monotonic time `now` in seconds; return what to do, in order."""
        if self.phase in {Phase.STOPPED, Phase.REFUSED}:
            return [ReturnPermit()] if isinstance(event, Permitted) else []
        match event:
            case Tick():
                return self._tick(now)
            case Permitted():
                return self._permitted(event, now)
            case Draining():
                return self._drain(event.reason)
            case DialFailed():
                return self._dial_failed(event, now)
            case Lost():
                return self._lost(event.code, now)
            case Opened():
                return self._opened(now)
        if self.phase in {Phase.CLOSING, Phase.OFFLINE, Phase.DIALING}:
            return []
        return self._message(event, now)

    def _message(
        self,
        event: Faulty | Hello | Ack | BeatRequest | Reconnect | InvalidSession | UnknownOp | Ready | Resumed,
        now: float,
    ) -> list[Effect]:
        match event:
            case Hello():
                return self._hello(event, now)
            case Ack():
                self.heartbeat.acked(now)
                return []
            case BeatRequest():
                return [SendBeat()] if self.heartbeat.requested(now) else []
            case Ready():
                return self._ready(event, now)
            case Resumed():
                return self._resumed(event, now)
            case Reconnect():
                return self._reconnect(now)
            case InvalidSession():
                return self._invalid(event, now)
            case Faulty():
                said = Say(logging.WARNING, f"the gateway sent what can't be read: {event.reason}")
                return [said, *self._hang_up(now)]
            case UnknownOp():
                return [Say(logging.WARNING, f"unknown opcode {event.op} ignored")]
            case _:
                assert_never(event)

    # One connection

    def _dial(self, now: float) -> list[Effect]:
        url = self._redial.url(self._known)
        self._enter(Phase.DIALING, deadline=now + DIAL_S)
        what = "to resume" if self._known else "to identify"
        said = Say(logging.INFO, f"connecting {what} at {url or 'the gateway'}")
        return [self._report(what), said, Dial(url)]

    def _opened(self, now: float) -> list[Effect]:
        if self.phase is Phase.DIALING:
            self._enter(Phase.GREETING, deadline=now + HELLO_S)
        return []

    def _hello(self, hello: Hello, now: float) -> list[Effect]:
        if self.phase is not Phase.GREETING:
            # Seen when IDENTIFY lacks intents: the new interval counts, nothing else happens twice.
            self.heartbeat.adopt(hello.interval_s)
            return [Say(logging.WARNING, "a second Hello on one connection; adopting its interval")]
        self.heartbeat.start(hello.interval_s, now, self._jitter())
        if self._known is None:
            self._enter(Phase.QUEUED, deadline=None)
            return [self._report("waiting for a permit to identify"), AskPermit()]
        self._fruitless += 1
        self._enter(Phase.RESUMING, deadline=now + RESUMED_S)
        return [
            SendResume(self._known.session_id),
            self._report(f"from seq {self._received_seq}"),
            Say(logging.INFO, f"RESUME sent, from seq {self._received_seq}"),
        ]

    def _permitted(self, event: Permitted, now: float) -> list[Effect]:
        if self.phase is not Phase.QUEUED:
            return [ReturnPermit()]
        if now >= event.until:
            return [ReturnPermit(), AskPermit(), Say(logging.WARNING, "a permit came too late; asking again")]
        self._enter(Phase.IDENTIFYING, deadline=now + READY_S)
        return [SendIdentify(), self._report("IDENTIFY sent"), Say(logging.INFO, "IDENTIFY sent")]

    def _ready(self, ready: Ready, now: float) -> list[Effect]:
        if self.phase is not Phase.IDENTIFYING:
            return [Say(logging.WARNING, "READY out of turn"), *self._hang_up(now)]
        lost = TellLost(self.number, self._lost_reason) if self.number else None
        self.number += 1
        self._known = Known(ready.session_id, ready.resume_url)
        self._received_seq = ready.seq
        self._live(now)
        said = f"READY: session {self.number} begins"
        remember = Remember(self.number, ready.session_id, ready.resume_url)
        told: list[Effect] = [lost] if lost else []
        return [remember, *told, Deliver(), self._report("READY"), Say(logging.INFO, said)]

    def _resumed(self, event: Resumed, now: float) -> list[Effect]:
        delivered: list[Effect] = [Deliver()] if self.accept(event.seq, now) else []
        if self.phase is not Phase.RESUMING:
            return delivered
        self._live(now)
        return [
            *delivered,
            self._report("RESUMED"),
            Say(logging.INFO, f"RESUMED: session {self.number} goes on"),
        ]

    def _live(self, now: float) -> None:
        self._enter(Phase.LIVE, deadline=None)
        self._redial.live(now)

    def _reconnect(self, now: float) -> list[Effect]:
        said = Say(logging.INFO, "op 7: the gateway asks us to reconnect")
        if self.phase is Phase.GREETING:
            # A draining node that a load balancer still feeds: pause, so that the next dial meets another.
            self._redial.host_failed()
            self._redial.at_least(1.0 + 4.0 * self._jitter())
        else:
            self._redial.at_once()
        return [said, *self._hang_up(now)]

    def _invalid(self, event: InvalidSession, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self.phase is Phase.IDENTIFYING:
            effects += [TellIdentifyRefused(), Say(logging.WARNING, "op 9: IDENTIFY refused, identify rate?")]
        elif event.resumable:
            effects += [Say(logging.WARNING, "op 9: session invalid, but resumable")]
        else:
            effects += [Say(logging.WARNING, "op 9: the session is gone")]
        if not event.resumable:
            effects += self._forget("op 9: Discord invalidated the session")
        self._redial.at_least(1.0 + 4.0 * self._jitter())
        return effects + self._hang_up(now)

    # Ends of a connection

    def _lost(self, code: int | None, now: float) -> list[Effect]:
        if self.phase in {Phase.OFFLINE, Phase.DIALING}:
            return []
        if self.phase is Phase.CLOSING:
            return self._wait(now, "closed by us")
        rule = rule_for(code)
        meaning = close_meaning(code)
        said = Say(logging.WARNING, f"connection closed while {self.phase.name.lower()}: {meaning}")
        if rule.action in {Action.REFUSE_CLUSTER, Action.REFUSE_SHARD}:
            withdrawn = self._withdraw()
            self._enter(Phase.REFUSED, deadline=None)
            give_up = GiveUp(rule.action is Action.REFUSE_CLUSTER, code or 0, meaning)
            return [said, *withdrawn, self._report(meaning), give_up]
        forgotten = self._forget(f"close code {meaning}") if rule.action is Action.IDENTIFY else []
        if self.phase is Phase.GREETING:
            self._redial.host_failed()
        self._redial.at_least(rule.floor_s)
        return [said, *forgotten, *self._wait(now, meaning)]

    def _dial_failed(self, event: DialFailed, now: float) -> list[Effect]:
        if self.phase is not Phase.DIALING:
            return []
        self._redial.host_failed()
        self._redial.at_least(event.retry_after_s)
        return [Say(logging.WARNING, f"no connection: {event.reason}"), *self._wait(now, event.reason)]

    def _hang_up(self, now: float) -> list[Effect]:
        withdrawn = self._withdraw()
        self._enter(Phase.CLOSING, deadline=now + CLOSE_S)
        return [*withdrawn, Hangup(CLOSE_RESUMABLE)]

    def _wait(self, now: float, reason: str) -> list[Effect]:
        """Go offline and set the moment of the next dial."""
        withdrawn = self._withdraw()
        self._redial.ended(now)
        forgotten: list[Effect] = []
        if self._known and self._fruitless >= FRUITLESS_RESUMES:
            said = f"{FRUITLESS_RESUMES} RESUMEs without one event: giving the session up"
            forgotten = [Say(logging.WARNING, said), *self._forget(said)]
        delay_s = self._redial.wait_s()
        self._enter(Phase.OFFLINE, deadline=now + delay_s)
        said = f"next attempt in {delay_s:.1f} s"
        return [*withdrawn, *forgotten, self._report(f"{reason}; {said}"), Say(logging.INFO, said)]

    def _forget(self, reason: str) -> list[Effect]:
        if self._known is None:
            return []
        self._known = None
        self._fruitless = 0
        self._lost_reason = reason
        self._redial.forget_host()
        return [Forget(), Say(logging.WARNING, f"session {self.number} is lost: {reason}")]

    def _withdraw(self) -> list[Effect]:
        return [WithdrawPermit()] if self.phase is Phase.QUEUED else []

    def _drain(self, reason: str) -> list[Effect]:
        effects = self._withdraw()
        if self.phase is Phase.DIALING:
            effects.append(Abort())
        elif self.phase not in {Phase.OFFLINE, Phase.CLOSING}:
            effects.append(Hangup(CLOSE_RESUMABLE))
        self._enter(Phase.STOPPED, deadline=None)
        return [*effects, self._report(reason), Say(logging.INFO, f"stopping: {reason}")]

    # Time

    def _tick(self, now: float) -> list[Effect]:
        if self._deadline is not None and now >= self._deadline:
            return self._expired(now)
        if self.heartbeat.due is None or now < self.heartbeat.due:
            return []
        match self.heartbeat.tick(now):
            case Verdict.BEAT:
                return [SendBeat()]
            case Verdict.WAIT:
                return [Say(logging.WARNING, "this process was stalled; reading before judging the peer")]
            case Verdict.ZOMBIE:
                silent = Say(logging.WARNING, "zombie connection: a heartbeat was not acknowledged")
                return [silent, Abort(), *self._wait(now, "heartbeat not acknowledged")]

    def _expired(self, now: float) -> list[Effect]:
        match self.phase:
            case Phase.OFFLINE:
                return self._dial(now)
            case Phase.CLOSING:
                return [Abort(), *self._wait(now, "closed by us")]
            case Phase.DIALING:
                return [Abort(), *self._dial_failed(DialFailed(f"no answer within {DIAL_S:.0f} s"), now)]
            case Phase.GREETING:
                self._redial.host_failed()
                said = Say(logging.WARNING, f"no Hello within {HELLO_S:.0f} s")
                return [said, *self._hang_up(now)]
            case Phase.IDENTIFYING:
                return [Say(logging.WARNING, f"no READY within {READY_S:.0f} s"), *self._hang_up(now)]
            case Phase.RESUMING:
                said = Say(logging.WARNING, f"no event for {RESUMED_S:.0f} s while resuming")
                return [said, *self._hang_up(now)]
            case _:
                raise AssertionError(f"a deadline in phase {self.phase.name}")

    def _enter(self, phase: Phase, *, deadline: float | None) -> None:
        assert phase in EDGES[self.phase], f"illegal move from {self.phase.name} to {phase.name}"
        if phase in _OUT:
            self.heartbeat.stop()
        self.phase = phase
        self._deadline = deadline

    def _report(self, reason: str) -> Report:
        return Report(STATES[self.phase], reason)
