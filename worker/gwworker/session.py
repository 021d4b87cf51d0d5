"""One shard's session with Discord (pure): takes events and the time, returns what to do about them.

`phases.EDGES` is the machine; docs/session.md draws it. There is one timer, `due`, and whoever runs the
machine sends a `Tick` when it passes, so no forgotten timer of an old connection can act on a new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gwcluster.wire.control import Conditions
from gwworker.conversation import Conversation
from gwworker.effects import Abort, Dial, Effect, ReturnPermit, Say, SendBeat
from gwworker.events import DialFailed, Doubted, Draining, Event, Lost, Opened, Permitted, Slept, Tick, Unsent
from gwworker.heartbeat import Heartbeat, Verdict
from gwworker.leaving import Leaving
from gwworker.phases import PATIENCE_S, Phase
from gwworker.ratelimit import SendBudget
from gwworker.redial import Known, Redial
from gwworker.standing import Standing

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

    Attributes:
        standing: phase, session and seq, which events move; it takes dispatches, too.
        budget: of what may be sent on the connection.
        heartbeat: of the connection.
    """

    def __init__(
        self, *, number: int, known: Known | None, seq: int | None, jitter: Callable[[], float], now: float
    ) -> None:
        self.standing = Standing(number=number, known=known, seq=seq, now=now)
        self.budget = SendBudget()
        self.heartbeat = Heartbeat(self.budget)
        self._redial = Redial(jitter=jitter)
        self._leaving = Leaving(self.standing, self._redial, self.heartbeat)
        self._conversation = Conversation(
            self.standing,
            redial=self._redial,
            heartbeat=self.heartbeat,
            budget=self.budget,
            leaving=self._leaving,
            jitter=jitter,
        )
        self._ready_at = float("-inf")  # of any shard

    @property
    def phase(self) -> Phase:
        """Where the shard stands."""
        return self.standing.phase

    @property
    def unknown_ops(self) -> int:
        """Messages with an opcode that we don't know."""
        return self._conversation.unknown_ops

    @property
    def due(self) -> float | None:
        """Monotonic moment at which a `Tick` is wanted, None for never."""
        deadline, beat = self.standing.deadline, self.heartbeat.due
        return beat if deadline is None or (beat is not None and beat < deadline) else deadline

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take an event that happened at monotonic second `now`; return what is to be done, in order."""
        phase = self.standing.phase
        if phase in {Phase.STOPPED, Phase.REFUSED}:
            return [ReturnPermit()] if isinstance(event, Permitted) else []
        match event:
            case Tick():
                return self._tick(now)
            case Permitted():
                return self._conversation.permitted(event, now)
            case Unsent():
                return self._conversation.unsent()
            case Draining():
                return self._leaving.stop(now, event.reason)
            case DialFailed():
                return self._leaving.dial_failed(event, now)
            case Lost():
                return self._leaving.lost(event, now)
            case Opened():
                return self._opened(now)
            case Conditions():
                return self._told(event)
            case Slept():
                return self._slept(event.seconds, now)
            case Doubted():
                return self._doubted(event.reason, now)
        if phase in {Phase.CLOSING, Phase.OFFLINE, Phase.DIALING}:
            return []
        return self._conversation.heard(event, now)

    # A connection begins

    def _dial(self, now: float) -> list[Effect]:
        standing = self.standing
        url = self._redial.url(standing.known, now)
        standing.enter(Phase.DIALING, now)
        what = "to resume" if standing.known else "to identify"
        said = f"connecting {what} at {url or 'the gateway'}, attempt {self._redial.attempt}"
        return [standing.report(what), Say(logging.INFO, said), Dial(url)]

    def _opened(self, now: float) -> list[Effect]:
        if self.standing.phase is Phase.DIALING:
            self.budget.start()
            self.standing.enter(Phase.GREETING, now)
        return []

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
        return self._leaving.drop(now, said)

    def _doubted(self, reason: str, now: float) -> list[Effect]:
        if not self.heartbeat.doubt(now):
            return []
        return [Say(logging.INFO, f"{reason}; looking whether the connection lives"), SendBeat()]

    # Time

    def _tick(self, now: float) -> list[Effect]:
        deadline = self.standing.deadline
        if deadline is not None and now >= deadline:
            return self._expired(now)
        if self.heartbeat.due is None or now < self.heartbeat.due:
            return []
        match self.heartbeat.tick(now):
            case Verdict.BEAT:
                return [SendBeat(), *self._conversation.listen(now)]
            case Verdict.MISSED:
                said = "a heartbeat was not acknowledged in time, but the connection is not silent; going on"
                return [SendBeat(), Say(logging.WARNING, said)]
            case Verdict.ALIVE:
                return []
            case Verdict.WAIT:
                return [Say(logging.WARNING, "this process was stalled; reading before judging the peer")]
            case Verdict.ZOMBIE:
                if self.standing.phase is Phase.RESUMING:
                    self._redial.host_failed(now)
                return self._leaving.drop(now, f"zombie connection: {self.heartbeat.silence(now)}")

    def _expired(self, now: float) -> list[Effect]:
        phase = self.standing.phase
        match phase:
            case Phase.OFFLINE:
                return self._dial(now)
            case Phase.DIALING:
                failed = DialFailed(f"no answer within {PATIENCE_S[phase]:.0f} s")
                return [Abort(), *self._leaving.dial_failed(failed, now)]
            case Phase.GREETING:
                self._redial.host_failed(now)
                return self._leaving.hang_up(now, f"no Hello within {PATIENCE_S[phase]:.0f} s")
            case Phase.IDENTIFYING:
                return self._no_ready(now)
            case Phase.RESUMING:
                self._redial.host_failed(now)
                return self._leaving.hang_up(now, f"no event for {PATIENCE_S[phase]:.0f} s while resuming")
            case Phase.CLOSING:
                return self._leaving.unheard(now)
            case _:
                raise AssertionError(f"a deadline in phase {phase.name}")

    def _no_ready(self, now: float) -> list[Effect]:
        """Give READY up, unless heartbeats are acknowledged and no other shard gets one either."""
        standing, acked_at = self.standing, self.heartbeat.acked_at
        waited_s = now - standing.since
        answered = acked_at is not None and now - acked_at <= 2 * self.heartbeat.interval_s
        if answered and self._ready_at < standing.since and waited_s < READY_PATIENCE_S:
            standing.deadline = now + PATIENCE_S[Phase.IDENTIFYING]
            said = f"no READY for {waited_s:.0f} s, nor for any other shard; holding the connection"
            return [standing.report(said), Say(logging.WARNING, said)]
        return self._leaving.hang_up(now, f"no READY within {waited_s:.0f} s")
