"""What the gateway says on a connection, and what a shard says back (pure)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, assert_never

from gwworker.effects import (
    AskPermit,
    Deliver,
    Effect,
    ReturnPermit,
    Say,
    SendBeat,
    SendIdentify,
    SendResume,
    TellHostFailed,
    TellIdentifyRefused,
    TellSentAway,
)
from gwworker.events import Faulty, Permitted, Resumed, Said
from gwworker.heartbeat import Heartbeat
from gwworker.leaving import Leaving
from gwworker.phases import Phase
from gwworker.ratelimit import SendBudget
from gwworker.redial import Redial
from gwworker.scan import Ack, BareResumed, BeatRequest, Hello, InvalidSession, Ready, Reconnect, UnknownOp
from gwworker.silence import Silence
from gwworker.standing import Standing

MOST_UNKNOWN_OPS: Final = 16


class Conversation:
    """From Hello to the last message of a connection.

    Args:
        standing: moved.
        redial: is told which host is good for what.
        heartbeat: started by Hello.
        budget: where IDENTIFY and RESUME are noted.
        leaving: the way out.
        jitter: returns a number from 0 up to 1, uniformly.

    Attributes:
        unknown_ops: messages with an opcode that we don't know.
    """

    def __init__(
        self,
        standing: Standing,
        *,
        redial: Redial,
        heartbeat: Heartbeat,
        budget: SendBudget,
        leaving: Leaving,
        jitter: Callable[[], float],
    ) -> None:
        self.unknown_ops = 0
        self._unknown_ops: set[int] = set()
        self._standing = standing
        self._redial = redial
        self._heartbeat = heartbeat
        self._budget = budget
        self._leaving = leaving
        self._jitter = jitter
        self._silence = Silence()
        self._resumed_from: int | None = None

    def heard(self, said: Said, now: float) -> list[Effect]:
        """Take what the gateway says; return what to do about it, in order."""
        match said:
            case Hello():
                return self._hello(said, now)
            case Ack():
                self._heartbeat.acked(now)
                return []
            case BeatRequest():
                return [SendBeat()] if self._heartbeat.requested(now) else []
            case Ready():
                return self._ready(said, now)
            case Resumed() | BareResumed():
                return self._resumed(said, now)
            case Reconnect():
                return self._reconnect(now)
            case InvalidSession():
                return self._invalid(said, now)
            case Faulty():
                self._blame_greeting(now)
                return self._leaving.hang_up(now, f"the gateway sent what can't be read: {said.reason}")
            case UnknownOp():
                return self._unknown(said.op)
            case _:
                assert_never(said)

    # Into a session

    def _hello(self, hello: Hello, now: float) -> list[Effect]:
        standing = self._standing
        if standing.phase is not Phase.GREETING:
            # Seen when IDENTIFY lacks intents: the new interval counts, nothing else happens twice.
            self._heartbeat.adopt(hello.interval_s, now)
            return [Say(logging.WARNING, "a second Hello on one connection; adopting its interval")]
        self._heartbeat.start(hello.interval_s, now, self._jitter())
        bad = self._redial.greeted()
        told: list[Effect] = [] if bad is None else [TellHostFailed(bad)]
        if standing.known is None:
            standing.enter(Phase.QUEUED, now)
            waiting = "waiting for a permit to identify"
            return [*told, standing.report(waiting), Say(logging.INFO, waiting), AskPermit()]
        standing.lifeline.resuming(now)
        self._budget.note(now)
        self._resumed_from = standing.received_seq
        standing.enter(Phase.RESUMING, now)
        begin = f"from seq {self._resumed_from}"
        return [
            *told,
            SendResume(standing.known.session_id),
            standing.report(begin),
            Say(logging.INFO, f"RESUME of session {standing.number} sent, {begin}"),
        ]

    def permitted(self, permit: Permitted, now: float) -> list[Effect]:
        """A permit came: identify, if that is still wanted."""
        standing = self._standing
        if standing.phase is not Phase.QUEUED:
            return [ReturnPermit()]
        if now >= permit.until:
            return [ReturnPermit(), AskPermit(), Say(logging.WARNING, "a permit came too late; asking again")]
        said = f"IDENTIFY sent, after {now - standing.since:.1f} s in the queue"
        self._budget.note(now)
        standing.enter(Phase.IDENTIFYING, now)
        return [SendIdentify(), standing.report("IDENTIFY sent"), Say(logging.INFO, said)]

    def unsent(self) -> list[Effect]:
        """What was to begin a session is not written; how the connection ended, we hear next."""
        said = Say(logging.INFO, "it was not sent after all: the gateway is closing the connection")
        if self._standing.phase is Phase.IDENTIFYING:
            return [ReturnPermit(), said]
        self._standing.lifeline.unsent()
        return [said]

    def _ready(self, ready: Ready, now: float) -> list[Effect]:
        standing = self._standing
        if standing.phase is not Phase.IDENTIFYING:
            return self._leaving.hang_up(now, "READY out of turn")
        begun = standing.begin(ready)
        said = f"READY after {now - standing.since:.1f} s: session {standing.number} begins"
        self._live(now, resumed=False)
        # Saved before it is logged: a log with READY then has its session beside it, whenever we are killed.
        return [*begun, Deliver(), standing.report("READY"), Say(logging.INFO, said)]

    def _resumed(self, event: Resumed | BareResumed, now: float) -> list[Effect]:
        standing = self._standing
        is_news = isinstance(event, Resumed) and standing.accept(event.seq, now)
        delivered: list[Effect] = [Deliver()] if is_news else []
        if standing.phase is not Phase.RESUMING:
            return delivered
        standing.lifeline.progressed()
        missed = max(0, (standing.received_seq or 0) - (self._resumed_from or 0) - is_news)
        after = f"RESUMED after {now - standing.since:.1f} s"
        self._live(now, resumed=True)
        said = f"{after}: session {standing.number} goes on, {missed} missed events came"
        return [*delivered, standing.report("RESUMED"), Say(logging.INFO, said)]

    def _live(self, now: float, *, resumed: bool) -> None:
        self._standing.enter(Phase.LIVE, now)
        self._redial.live(now)
        self._silence.begin(self._standing.received_seq, now, resumed=resumed)

    # Out of it

    def _reconnect(self, now: float) -> list[Effect]:
        if self._standing.phase is Phase.GREETING:
            # A draining node that a load balancer still feeds: pause, so that the next dial meets another.
            self._redial.host_spoiled_greeting(now)
            self._pause()
        else:
            self._redial.at_once(now)
        said = "op 7: the gateway asks us to reconnect"
        return self._leaving.hang_up(now, said, TellSentAway(), level=logging.INFO, sent_away=True)

    def _invalid(self, event: InvalidSession, now: float) -> list[Effect]:
        told: list[Effect] = []
        if self._standing.phase is Phase.IDENTIFYING:
            said = "op 9: IDENTIFY refused; does something else identify with this token?"
            told.append(TellIdentifyRefused())
        elif self._standing.known is None:
            said = "op 9 where there is no session"
        elif event.resumable:
            said = "op 9: session invalid, but resumable"
        else:
            said = "op 9: the session is gone"
        forgotten = [] if event.resumable else self._standing.lose("op 9: Discord invalidated the session")
        self._blame_greeting(now)
        self._pause()
        return [*told, *self._leaving.hang_up(now, said, *forgotten)]

    def listen(self, now: float) -> list[Effect]:
        """Resume when a shard has had no event for unusually long."""
        is_live = self._standing.phase is Phase.LIVE
        silent_s = self._silence.look(self._standing.received_seq, now) if is_live else None
        if silent_s is None:
            return []
        self._redial.at_once(now)
        said = f"no event for {silent_s:.0f} s although heartbeats are acknowledged; resuming, to be sure"
        return self._leaving.hang_up(now, said, level=logging.INFO)

    def _blame_greeting(self, now: float) -> None:
        """A host that says anything but Hello first may be of no use."""
        if self._standing.phase is Phase.GREETING:
            self._redial.host_spoiled_greeting(now)

    def _pause(self) -> None:
        self._redial.at_least(1.0 + 4.0 * self._jitter())

    def _unknown(self, op: int) -> list[Effect]:
        """Count what a newer gateway may send; say so once for each opcode, and not for countless ones."""
        self.unknown_ops += 1
        if op in self._unknown_ops or len(self._unknown_ops) >= MOST_UNKNOWN_OPS:
            return []
        self._unknown_ops.add(op)
        return [Say(logging.WARNING, f"unknown opcode {op} ignored; further ones are only counted")]
