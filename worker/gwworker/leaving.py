"""How a connection ends, and what that means for the next one (pure)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from gwcluster.discord import close_meaning
from gwworker.closing import CLOSE_RESUMABLE, SENT_AWAY, Action, Rule, rule_for
from gwworker.effects import Abort, Effect, GiveUp, Hangup, Say, WithdrawPermit
from gwworker.events import DialFailed, Lost
from gwworker.heartbeat import Heartbeat
from gwworker.phases import Phase
from gwworker.redial import Redial
from gwworker.standing import Standing

_UNCONNECTED: Final = frozenset({Phase.OFFLINE, Phase.DIALING})


@dataclass(frozen=True, slots=True)
class _End:
    """Why a connection ended.

    Attributes:
        code: the peer's close code, None without one.
        rule: what follows from it; None when we ended the connection.
        sent_away: Discord asked us to come again.
    """

    reason: str
    code: int | None = None
    rule: Rule | None = None
    sent_away: bool = False


class Leaving:
    """Every way out of a connection; all of them lead to `OFFLINE` and the next dial, or to an end for good.

    Args:
        standing: moved.
        redial: says when to dial again, and is told whom to blame.
        heartbeat: of the connection that ends.
    """

    def __init__(self, standing: Standing, redial: Redial, heartbeat: Heartbeat) -> None:
        self._standing = standing
        self._redial = redial
        self._heartbeat = heartbeat
        self._closing = _End("")  # why we are closing the connection, while we do

    # We leave

    def hang_up(
        self, now: float, why: str, *also: Effect, level: int = logging.WARNING, sent_away: bool = False
    ) -> list[Effect]:
        """Say why, do `also`, and send a close frame that keeps the session; `lost` or `unheard` follows."""
        self._closing = _End(why, sent_away=sent_away)
        withdrawn = self._out(Phase.CLOSING, now)
        return [Say(level, why), *also, *withdrawn, Hangup(CLOSE_RESUMABLE)]

    def unheard(self, now: float) -> list[Effect]:
        """The peer does not answer our close frame."""
        return [Abort(), *self._wait(now, self._closing)]

    def drop(self, now: float, why: str) -> list[Effect]:
        """Leave without a close frame, where nobody is there to read it; that keeps the session, too."""
        return [Say(logging.WARNING, why), Abort(), *self._wait(now, _End(why))]

    def stop(self, now: float, reason: str) -> list[Effect]:
        """Leave for good, and keep the session."""
        before = self._standing.phase
        effects = self._out(Phase.STOPPED, now)
        if before is Phase.DIALING:
            effects.append(Abort())
        elif before not in {Phase.OFFLINE, Phase.CLOSING}:
            effects.append(Hangup(CLOSE_RESUMABLE))
        return [*effects, self._standing.report(reason), Say(logging.INFO, f"stopping: {reason}")]

    # The peer leaves

    def lost(self, lost: Lost, now: float) -> list[Effect]:
        """The socket is closed."""
        phase, since = self._standing.phase, self._standing.since
        if phase in _UNCONNECTED:
            return []
        if phase is Phase.CLOSING:
            return self._wait(now, self._closing)
        code = lost.code
        rule = rule_for(code)
        meaning = lost.fault or close_meaning(code)
        said = f"connection closed while {phase.name.lower()}, after {now - since:.1f} s: {meaning}"
        if rule.action in {Action.REFUSE_CLUSTER, Action.REFUSE_SHARD}:
            withdrawn = self._out(Phase.REFUSED, now)
            give_up = GiveUp(rule.action is Action.REFUSE_CLUSTER, code or 0, meaning)
            return [Say(logging.WARNING, said), *withdrawn, self._standing.report(meaning), give_up]
        is_gone = rule.action is Action.IDENTIFY
        forgotten = self._standing.lose(f"close code {meaning}") if is_gone else []
        if phase is Phase.GREETING:
            self._redial.host_spoiled_greeting(now)
        self._redial.asked_to_wait(rule.floor_s)
        end = _End(meaning, code, rule, sent_away=code in SENT_AWAY)
        return [Say(logging.WARNING, said), *forgotten, *self._wait(now, end)]

    def dial_failed(self, failed: DialFailed, now: float) -> list[Effect]:
        """There is no connection."""
        if self._standing.phase is not Phase.DIALING:
            return []
        self._redial.host_failed(now)
        self._redial.asked_to_wait(failed.retry_after_s)
        waiting = self._wait(now, _End(failed.reason))
        return [Say(logging.WARNING, f"no connection: {failed.reason}"), *waiting]

    # What all have in common

    def _wait(self, now: float, end: _End) -> list[Effect]:
        """Go offline and set the moment of the next dial."""
        standing = self._standing
        if self._redial.ended(now):
            standing.lifeline.held()
        hopeless = standing.lifeline.ended(now, code=end.code, rule=end.rule, sent_away=end.sent_away)
        forgotten = standing.lose(hopeless) if hopeless else []
        delay_s = self._redial.wait_s()
        withdrawn = self._out(Phase.OFFLINE, now, wait_s=delay_s)
        said = f"next attempt in {delay_s:.1f} s, to {'resume' if standing.known else 'identify'}"
        report = standing.report(f"{end.reason}; {said}")
        return [*withdrawn, *forgotten, report, Say(logging.INFO, said)]

    def _out(self, phase: Phase, now: float, *, wait_s: float | None = None) -> list[Effect]:
        """Enter a phase in which nothing is received."""
        queued = self._standing.phase is Phase.QUEUED
        self._heartbeat.stop()
        self._standing.enter(phase, now, wait_s=wait_s)
        return [WithdrawPermit()] if queued else []
