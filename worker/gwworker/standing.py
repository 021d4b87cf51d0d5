"""Where one shard stands (pure): in which phase, in which session, and at which seq of it."""

from __future__ import annotations

import logging
from typing import Final

from gwworker.effects import Effect, Forget, Remember, Report, Say, TellLost
from gwworker.lifeline import Lifeline
from gwworker.phases import EDGES, PATIENCE_S, STATES, Phase
from gwworker.redial import Known
from gwworker.scan import Ready

_LIVE: Final = Phase.LIVE  # looked up once, for every dispatch asks


class Standing:
    """What a session machine moves, and what others may look at; all times are monotonic seconds.

    Args:
        number: of the last session in the shard's log, 0 for none.
        known: that session, if it may be resumed.
        seq: last seq of it in the log.
        now: when the first dial is due.

    Attributes:
        phase: changed by `enter` only.
        since: when it began.
        deadline: when it has lasted long enough, None for never.
        number: of the latest session.
        known: that session, None when it can't be resumed.
        received_seq: last seq received of the latest session, lost or not.
        lifeline: whether `known` is worth another RESUME.
        duplicates: dispatches that came again.
        gaps: places where a seq did not follow the one before.
    """

    def __init__(self, *, number: int, known: Known | None, seq: int | None, now: float) -> None:
        self.phase = Phase.OFFLINE
        self.since = now
        self.deadline: float | None = now
        self.number = number
        self.known = known
        self.received_seq = seq
        self.lifeline = Lifeline()
        self.duplicates = 0
        self.gaps = 0
        self._lost_reason = "no saved session that may be resumed"

    @property
    def seq(self) -> int | None:
        """Last seq received of the session that goes on, None between two sessions."""
        return None if self.known is None else self.received_seq

    def accept(self, seq: int, now: float) -> bool:
        """Take note of a dispatch other than READY and RESUMED; say whether it is to be delivered.

        A dispatch outside of a session, and one whose seq was delivered already, is not.
        """
        if self.phase is not _LIVE:
            if self.phase is not Phase.RESUMING:
                return False
            self.deadline = now + PATIENCE_S[Phase.RESUMING]
            self.lifeline.progressed()
        last = self.received_seq
        if last is not None:
            if seq <= last:
                self.duplicates += 1
                return False
            if seq != last + 1:
                self.gaps += 1
        self.received_seq = seq
        return True

    def enter(self, phase: Phase, now: float, *, wait_s: float | None = None) -> None:
        """Begin a phase; it may last `wait_s`, or else as long as the table of patience says."""
        assert phase in EDGES[self.phase], f"illegal move from {self.phase.name} to {phase.name}"
        if wait_s is None:
            wait_s = PATIENCE_S.get(phase)
        self.phase = phase
        self.since = now
        self.deadline = None if wait_s is None else now + wait_s

    def report(self, reason: str) -> Report:
        """Return what others are told of the present phase."""
        return Report(STATES[self.phase], reason)

    def begin(self, ready: Ready) -> list[Effect]:
        """Begin a session; return what makes it last, and what tells of the loss of the one before."""
        lost: list[Effect] = [TellLost(self.number, self._lost_reason)] if self.number else []
        self.number += 1
        self.known = Known(ready.session_id, ready.resume_url)
        self.received_seq = ready.seq
        return [Remember(self.number, ready.session_id, ready.resume_url), *lost]

    def lose(self, reason: str) -> list[Effect]:
        """Give the session up, if there is one."""
        if self.known is None:
            return []
        self.known = None
        self.lifeline = Lifeline()
        self._lost_reason = reason
        return [Forget(), Say(logging.WARNING, f"session {self.number} is lost: {reason}")]
