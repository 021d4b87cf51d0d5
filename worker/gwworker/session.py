"""One shard's session with Discord (pure): takes events and the time, returns what to do about them.

`phases.EDGES` is the machine; docs/session.md draws it. There is one timer, `due`, and whoever runs the
machine sends a `Tick` when it passes, so no forgotten timer of an old connection can act on a new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, assert_never

from gwcluster.discord import close_meaning
from gwcluster.wire.control import Conditions
from gwworker.closing import CLOSE_RESUMABLE, SENT_AWAY, Action, Rule, rule_for
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
    TellHostFailed,
    TellIdentifyRefused,
    TellLost,
    TellSentAway,
    WithdrawPermit,
)
from gwworker.events import (
    DialFailed,
    Doubted,
    Draining,
    Event,
    Faulty,
    Lost,
    Opened,
    Permitted,
    Resumed,
    Slept,
    Tick,
)
from gwworker.heartbeat import Heartbeat, Verdict
from gwworker.lifeline import Lifeline
from gwworker.phases import EDGES, OUT, STATES, Phase
from gwworker.ratelimit import SendBudget
from gwworker.redial import Known, Redial
from gwworker.scan import Ack, BareResumed, BeatRequest, Hello, InvalidSession, Ready, Reconnect, UnknownOp
from gwworker.silence import Silence

_LIVE: Final = Phase.LIVE  # looked up once, for every dispatch asks

DIAL_S: Final = 15.0
HELLO_S: Final = 20.0
READY_S: Final = 90.0
RESUMED_S: Final = 60.0
CLOSE_S: Final = 2.0
MOST_UNKNOWN_OPS: Final = 16
READY_PATIENCE_S: Final = 900.0
"""How long READY may take while heartbeats are acknowledged and no shard at all gets one: then Discord has
an outage, and another IDENTIFY would only be one more of a day's thousand."""


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
        self.budget = SendBudget()
        self.heartbeat = Heartbeat(self.budget)
        self.duplicates = 0
        self.unknown_ops = 0
        self._unknown_ops: set[int] = set()
        self.gaps = 0
        self._known = known
        self._received_seq = seq
        self._lost_reason = "no saved session that may be resumed"
        self._jitter = jitter
        self._redial = Redial(jitter=jitter)
        self._lifeline = Lifeline()
        self._silence = Silence()
        self._deadline: float | None = now
        self._since = now  # when the present phase began
        self._resumed_from = seq
        self._ready_at = float("-inf")  # of any shard
        self._sent_away = False  # the connection that we are closing
        self._leaving = ""  # why we are closing it

    @property
    def due(self) -> float | None:
        """Monotonic moment at which a `Tick` is wanted, None for never."""
        deadline, beat = self._deadline, self.heartbeat.due
        return beat if deadline is None or (beat is not None and beat < deadline) else deadline

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
            self._lifeline.progressed()
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
                return self._drain(event.reason, now)
            case DialFailed():
                return self._dial_failed(event, now)
            case Lost():
                return self._lost(event, now)
            case Opened():
                return self._opened(now)
            case Conditions():
                return self._told(event)
            case Slept():
                return self._slept(event.seconds, now)
            case Doubted():
                return self._doubted(event.reason, now)
        if self.phase in {Phase.CLOSING, Phase.OFFLINE, Phase.DIALING}:
            return []
        return self._message(event, now)

    def _message(
        self,
        event: Faulty
        | Hello
        | Ack
        | BeatRequest
        | Reconnect
        | InvalidSession
        | UnknownOp
        | Ready
        | Resumed
        | BareResumed,
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
            case Resumed() | BareResumed():
                return self._resumed(event, now)
            case Reconnect():
                return self._reconnect(now)
            case InvalidSession():
                return self._invalid(event, now)
            case Faulty():
                said = f"the gateway sent what can't be read: {event.reason}"
                if self.phase is Phase.GREETING:
                    self._redial.host_spoiled_greeting(now)
                return [Say(logging.WARNING, said), *self._hang_up(now, said)]
            case UnknownOp():
                return self._unknown(event.op)
            case _:
                assert_never(event)

    def _unknown(self, op: int) -> list[Effect]:
        """Count what a newer gateway may send; say so once for each opcode, and not for countless ones."""
        self.unknown_ops += 1
        if op in self._unknown_ops or len(self._unknown_ops) >= MOST_UNKNOWN_OPS:
            return []
        self._unknown_ops.add(op)
        return [Say(logging.WARNING, f"unknown opcode {op} ignored; further ones are only counted")]

    # One connection

    def _dial(self, now: float) -> list[Effect]:
        url = self._redial.url(self._known, now)
        self._enter(Phase.DIALING, now, deadline=now + DIAL_S)
        what = "to resume" if self._known else "to identify"
        said = f"connecting {what} at {url or 'the gateway'}, attempt {self._redial.attempt}"
        return [self._report(what), Say(logging.INFO, said), Dial(url)]

    def _opened(self, now: float) -> list[Effect]:
        if self.phase is Phase.DIALING:
            self.budget.start()
            self._enter(Phase.GREETING, now, deadline=now + HELLO_S)
        return []

    def _hello(self, hello: Hello, now: float) -> list[Effect]:
        if self.phase is not Phase.GREETING:
            # Seen when IDENTIFY lacks intents: the new interval counts, nothing else happens twice.
            self.heartbeat.adopt(hello.interval_s, now)
            return [Say(logging.WARNING, "a second Hello on one connection; adopting its interval")]
        self.heartbeat.start(hello.interval_s, now, self._jitter())
        bad = self._redial.greeted()
        told: list[Effect] = [] if bad is None else [TellHostFailed(bad)]
        if self._known is None:
            self._enter(Phase.QUEUED, now, deadline=None)
            return [*told, self._report("waiting for a permit to identify"), AskPermit()]
        self._lifeline.resuming(now)
        self.budget.note(now)
        self._resumed_from = self._received_seq
        self._enter(Phase.RESUMING, now, deadline=now + RESUMED_S)
        said = f"RESUME of session {self.number} sent, from seq {self._received_seq}"
        return [
            *told,
            SendResume(self._known.session_id),
            self._report(f"from seq {self._received_seq}"),
            Say(logging.INFO, said),
        ]

    def _permitted(self, event: Permitted, now: float) -> list[Effect]:
        if self.phase is not Phase.QUEUED:
            return [ReturnPermit()]
        if now >= event.until:
            return [ReturnPermit(), AskPermit(), Say(logging.WARNING, "a permit came too late; asking again")]
        waited_s = now - self._since
        self.budget.note(now)
        self._enter(Phase.IDENTIFYING, now, deadline=now + READY_S)
        said = f"IDENTIFY sent, after {waited_s:.1f} s in the queue"
        return [SendIdentify(), self._report("IDENTIFY sent"), Say(logging.INFO, said)]

    def _ready(self, ready: Ready, now: float) -> list[Effect]:
        if self.phase is not Phase.IDENTIFYING:
            return [Say(logging.WARNING, "READY out of turn"), *self._hang_up(now, "READY out of turn")]
        lost = TellLost(self.number, self._lost_reason) if self.number else None
        self.number += 1
        self._known = Known(ready.session_id, ready.resume_url)
        self._received_seq = ready.seq
        said = f"READY after {now - self._since:.1f} s: session {self.number} begins"
        self._live(now, resumed=False)
        remember = Remember(self.number, ready.session_id, ready.resume_url)
        told: list[Effect] = [lost] if lost else []
        # Saved before it is logged: a log with READY then has its session beside it, whenever we are killed.
        return [remember, *told, Deliver(), self._report("READY"), Say(logging.INFO, said)]

    def _resumed(self, event: Resumed | BareResumed, now: float) -> list[Effect]:
        is_news = isinstance(event, Resumed) and self.accept(event.seq, now)
        delivered: list[Effect] = [Deliver()] if is_news else []
        if self.phase is not Phase.RESUMING:
            return delivered
        self._lifeline.progressed()
        missed = max(0, (self._received_seq or 0) - (self._resumed_from or 0) - is_news)
        said = (
            f"RESUMED after {now - self._since:.1f} s: session {self.number} goes on, "
            f"{missed} missed events came"
        )
        self._live(now, resumed=True)
        return [*delivered, self._report("RESUMED"), Say(logging.INFO, said)]

    def _live(self, now: float, *, resumed: bool) -> None:
        self._enter(Phase.LIVE, now, deadline=None)
        self._redial.live(now)
        self._silence.begin(self._received_seq, now, resumed=resumed)

    def _reconnect(self, now: float) -> list[Effect]:
        said = "op 7: the gateway asks us to reconnect"
        if self.phase is Phase.GREETING:
            # A draining node that a load balancer still feeds: pause, so that the next dial meets another.
            self._redial.host_spoiled_greeting(now)
            self._redial.at_least(1.0 + 4.0 * self._jitter())
        else:
            self._redial.at_once(now)
        return [Say(logging.INFO, said), TellSentAway(), *self._hang_up(now, said, sent_away=True)]

    def _invalid(self, event: InvalidSession, now: float) -> list[Effect]:
        told: list[Effect] = []
        if self.phase is Phase.IDENTIFYING:
            said = "op 9: IDENTIFY refused; does something else identify with this token?"
            told.append(TellIdentifyRefused())
        elif self._known is None:
            said = "op 9 where there is no session"
        elif event.resumable:
            said = "op 9: session invalid, but resumable"
        else:
            said = "op 9: the session is gone"
        forgotten = [] if event.resumable else self._forget("op 9: Discord invalidated the session")
        if self.phase is Phase.GREETING:
            self._redial.host_spoiled_greeting(now)
        self._redial.at_least(1.0 + 4.0 * self._jitter())
        return [*told, Say(logging.WARNING, said), *forgotten, *self._hang_up(now, said)]

    # Ends of a connection

    def _lost(self, lost: Lost, now: float) -> list[Effect]:
        if self.phase in {Phase.OFFLINE, Phase.DIALING}:
            return []
        if self.phase is Phase.CLOSING:
            return self._wait(now, self._leaving)
        code = lost.code
        rule = rule_for(code)
        meaning = lost.fault or close_meaning(code)
        said = (
            f"connection closed while {self.phase.name.lower()}, after {now - self._since:.1f} s: {meaning}"
        )
        if rule.action in {Action.REFUSE_CLUSTER, Action.REFUSE_SHARD}:
            withdrawn = self._withdraw()
            self._enter(Phase.REFUSED, now, deadline=None)
            give_up = GiveUp(rule.action is Action.REFUSE_CLUSTER, code or 0, meaning)
            return [Say(logging.WARNING, said), *withdrawn, self._report(meaning), give_up]
        forgotten = self._forget(f"close code {meaning}") if rule.action is Action.IDENTIFY else []
        if self.phase is Phase.GREETING:
            self._redial.host_spoiled_greeting(now)
        self._redial.asked_to_wait(rule.floor_s)
        waiting = self._wait(now, meaning, code=code, rule=rule, sent_away=code in SENT_AWAY)
        return [Say(logging.WARNING, said), *forgotten, *waiting]

    def _dial_failed(self, event: DialFailed, now: float) -> list[Effect]:
        if self.phase is not Phase.DIALING:
            return []
        self._redial.host_failed(now)
        self._redial.asked_to_wait(event.retry_after_s)
        return [Say(logging.WARNING, f"no connection: {event.reason}"), *self._wait(now, event.reason)]

    def _hang_up(self, now: float, why: str, *, sent_away: bool = False) -> list[Effect]:
        withdrawn = self._withdraw()
        self._sent_away = sent_away
        self._leaving = why
        self._enter(Phase.CLOSING, now, deadline=now + CLOSE_S)
        return [*withdrawn, Hangup(CLOSE_RESUMABLE)]

    def _wait(
        self,
        now: float,
        reason: str,
        *,
        code: int | None = None,
        rule: Rule | None = None,
        sent_away: bool | None = None,
    ) -> list[Effect]:
        """Go offline and set the moment of the next dial."""
        withdrawn = self._withdraw()
        if self._redial.ended(now):
            self._lifeline.held()
        if sent_away is None:
            sent_away = self._sent_away
        self._sent_away = False
        hopeless = self._lifeline.ended(now, code=code, rule=rule, sent_away=sent_away)
        forgotten = self._forget(hopeless) if hopeless else []
        delay_s = self._redial.wait_s()
        self._enter(Phase.OFFLINE, now, deadline=now + delay_s)
        said = f"next attempt in {delay_s:.1f} s, to {'resume' if self._known else 'identify'}"
        return [*withdrawn, *forgotten, self._report(f"{reason}; {said}"), Say(logging.INFO, said)]

    def _forget(self, reason: str) -> list[Effect]:
        if self._known is None:
            return []
        self._known = None
        self._lifeline = Lifeline()
        self._lost_reason = reason
        return [Forget(), Say(logging.WARNING, f"session {self.number} is lost: {reason}")]

    def _withdraw(self) -> list[Effect]:
        return [WithdrawPermit()] if self.phase is Phase.QUEUED else []

    def _drain(self, reason: str, now: float) -> list[Effect]:
        effects = self._withdraw()
        if self.phase is Phase.DIALING:
            effects.append(Abort())
        elif self.phase not in {Phase.OFFLINE, Phase.CLOSING}:
            effects.append(Hangup(CLOSE_RESUMABLE))
        self._enter(Phase.STOPPED, now, deadline=None)
        return [*effects, self._report(reason), Say(logging.INFO, f"stopping: {reason}")]

    # What others know

    def _told(self, conditions: Conditions) -> list[Effect]:
        self._redial.told(conditions.bad_hosts, conditions.storm_until)
        self._ready_at = conditions.ready_at
        return []

    def _slept(self, seconds: float, now: float) -> list[Effect]:
        if self.heartbeat.due is None:
            return []
        said = f"the machine was suspended for {seconds:.0f} s"
        if seconds < self.heartbeat.interval_s:
            return self._doubted(said, now)
        return [Say(logging.WARNING, said), Abort(), *self._wait(now, said)]

    def _doubted(self, reason: str, now: float) -> list[Effect]:
        if not self.heartbeat.doubt(now):
            return []
        return [Say(logging.INFO, f"{reason}; looking whether the connection lives"), SendBeat()]

    # Time

    def _tick(self, now: float) -> list[Effect]:
        if self._deadline is not None and now >= self._deadline:
            return self._expired(now)
        if self.heartbeat.due is None or now < self.heartbeat.due:
            return []
        match self.heartbeat.tick(now):
            case Verdict.BEAT:
                return [SendBeat(), *self._listen(now)]
            case Verdict.MISSED:
                said = "a heartbeat was not acknowledged in time, but the connection is not silent; going on"
                return [SendBeat(), Say(logging.WARNING, said)]
            case Verdict.ALIVE:
                return []
            case Verdict.WAIT:
                return [Say(logging.WARNING, "this process was stalled; reading before judging the peer")]
            case Verdict.ZOMBIE:
                if self.phase is Phase.RESUMING:
                    self._redial.host_failed(now)
                # Nobody is there to read a close frame; a connection without one keeps the session, too.
                said = "zombie connection: a heartbeat got no answer"
                return [Say(logging.WARNING, said), Abort(), *self._wait(now, said)]

    def _listen(self, now: float) -> list[Effect]:
        """Resume when a shard that had events before has had none for unusually long."""
        silent_s = self._silence.look(self._received_seq, now) if self.phase is _LIVE else None
        if silent_s is None:
            return []
        said = f"no event for {silent_s:.0f} s although heartbeats are acknowledged; resuming, to be sure"
        self._redial.at_once(now)
        return [Say(logging.INFO, said), *self._hang_up(now, said)]

    def _expired(self, now: float) -> list[Effect]:
        match self.phase:
            case Phase.OFFLINE:
                return self._dial(now)
            case Phase.CLOSING:
                return [Abort(), *self._wait(now, self._leaving)]
            case Phase.DIALING:
                return [Abort(), *self._dial_failed(DialFailed(f"no answer within {DIAL_S:.0f} s"), now)]
            case Phase.GREETING:
                self._redial.host_failed(now)
                said = f"no Hello within {HELLO_S:.0f} s"
                return [Say(logging.WARNING, said), *self._hang_up(now, said)]
            case Phase.IDENTIFYING:
                return self._no_ready(now)
            case Phase.RESUMING:
                self._redial.host_failed(now)
                said = f"no event for {RESUMED_S:.0f} s while resuming"
                return [Say(logging.WARNING, said), *self._hang_up(now, said)]
            case _:
                raise AssertionError(f"a deadline in phase {self.phase.name}")

    def _no_ready(self, now: float) -> list[Effect]:
        """Give READY up, unless heartbeats are acknowledged and no other shard gets one either."""
        waited_s = now - self._since
        acked_at = self.heartbeat.acked_at
        answered = acked_at is not None and now - acked_at <= 2 * self.heartbeat.interval_s
        if answered and self._ready_at < self._since and waited_s < READY_PATIENCE_S:
            self._deadline = now + READY_S
            said = f"no READY for {waited_s:.0f} s, nor for any other shard; holding the connection"
            return [self._report(said), Say(logging.WARNING, said)]
        said = f"no READY within {waited_s:.0f} s"
        return [Say(logging.WARNING, said), *self._hang_up(now, said)]

    def _enter(self, phase: Phase, now: float, *, deadline: float | None) -> None:
        assert phase in EDGES[self.phase], f"illegal move from {self.phase.name} to {phase.name}"
        if phase in OUT:
            self.heartbeat.stop()
        self.phase = phase
        self._since = now
        self._deadline = deadline

    def _report(self, reason: str) -> Report:
        return Report(STATES[self.phase], reason)
