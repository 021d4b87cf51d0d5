"""When to beat, and when silence means that nobody is there (pure).

Sources:
    https://docs.discord.com/developers/events/gateway#sending-heartbeats
    Beats count among the 120 payloads a minute: https://docs.discord.com/developers/events/gateway#rate-limiting
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final

from gwworker.ratelimit import SendBudget

_STALL_S: Final = 1.0
"""A tick later than this means that we slept, not Discord; what it sent meanwhile is read before judging."""

_PROBE_S: Final = 10.0
"""How long the answer to a beat may take that was sent because the connection is in doubt."""

_SLACK_S: Final = 0.001
"""For the rounding of moments."""

_UNACKED: Final = 120
"""Most beats remembered without an ACK; more than that fit no minute."""


class Verdict(enum.Enum):
    """What a due heartbeat asks for."""

    BEAT = "send a beat"
    MISSED = "send a beat; the one before it got no ACK, but something else came"
    WAIT = "we were stalled: read first, then judge"
    ZOMBIE = "nobody is there"
    ALIVE = "a connection in doubt has answered"


class Heartbeat:
    """The heartbeat of one connection at a time; all times are monotonic seconds.

    A connection is a zombie when a beat got no ACK for a whole interval and nothing at all was received
    since, or when no ACK came for two intervals whatever else arrived. One in doubt is a zombie when
    nothing is received for ten seconds after a beat.

    Args:
        budget: where every beat is noted; answers to op 1 ask it first.

    Attributes:
        due: moment of the next beat or judgement, None while there is no connection.
        latency_s: from the last acknowledged beat to its ACK; None before the first on this connection.
        acked_at: moment of the last ACK of a beat, None before the first on this connection.
        interval_s: between beats.
    """

    def __init__(self, budget: SendBudget) -> None:
        self.latency_s: float | None = None
        self.acked_at: float | None = None
        self.interval_s = 0.0
        self._budget = budget
        self._beat_at: float | None = None
        self._judge_at: float | None = None
        self._answered = False  # something was heard since the connection was doubted
        self._heard_at = 0.0
        self._unacked: deque[float] = deque(maxlen=_UNACKED)
        self._unacked_since: float | None = None
        self._stalled = False

    @property
    def due(self) -> float | None:
        """See the class."""
        if self._beat_at is None or self._judge_at is None:
            return self._beat_at
        return min(self._beat_at, self._judge_at)

    def start(self, interval_s: float, now: float, jitter: float) -> None:
        """Begin a connection's beats; the first comes after `jitter`, 0 to 1, times the interval."""
        self.stop()
        self._budget.adopt(interval_s)
        self.interval_s = interval_s
        self._heard_at = now
        self._beat_at = now + interval_s * jitter

    def adopt(self, interval_s: float, now: float) -> None:
        """Change the interval; the next beat comes when it was due, or sooner if the new one asks for it."""
        if self._beat_at is not None:
            self._beat_at = min(self._beat_at, now + interval_s)
        self.interval_s = interval_s
        self._budget.adopt(interval_s)

    def stop(self) -> None:
        """End the connection's beats."""
        self._beat_at = self._judge_at = self.latency_s = self.acked_at = self._unacked_since = None
        self._unacked.clear()
        self._stalled = False

    def heard(self, now: float) -> None:
        """Something was received."""
        self._heard_at = now
        self._answered = True

    def acked(self, now: float) -> None:
        """An ACK was received; one that nobody asked for shows nothing.

        ACKs carry no number. One that comes when older beats are overdue is taken for the newest's.
        """
        if not self._unacked:
            return
        self.acked_at = now
        self._unacked_since = None
        while len(self._unacked) > 1 and now - self._unacked[0] > self.interval_s:
            self._unacked.popleft()
        self.latency_s = now - self._unacked.popleft()

    def silence(self, now: float) -> str:
        """Return words for how long no ACK has come, and nothing at all."""
        since = now if self._unacked_since is None else self._unacked_since
        heard_s = now - self._heard_at
        return f"no ACK for a heartbeat of {now - since:.0f} s ago; the last message came {heard_s:.0f} s ago"

    def doubt(self, now: float) -> bool:
        """The connection may be dead: say whether to send a beat now; something must be heard in 10 s."""
        if self._beat_at is None or self._judge_at is not None or not self.requested(now):
            return False
        self._answered = False
        self._judge_at = now + _PROBE_S
        return True

    def tick(self, now: float) -> Verdict:
        """Decide, at or after `due`, what is to be done; a beat is taken for sent."""
        assert self._beat_at is not None, "no connection, no beat"
        if self._judge_at is not None and now >= self._judge_at:
            self._judge_at = None
            return Verdict.ALIVE if self._answered else Verdict.ZOMBIE
        if self._is_overdue(now):
            if self._stalled or now - self._beat_at <= _STALL_S:
                return Verdict.ZOMBIE
            self._stalled = True
            self._beat_at = now + _STALL_S
            return Verdict.WAIT
        since = self._unacked_since
        missed = since is not None and now - since >= self.interval_s - _SLACK_S
        self._stalled = False
        self._beat_at = now + self.interval_s
        self._note_sent(now)
        return Verdict.MISSED if missed else Verdict.BEAT

    def blind(self, now: float) -> bool:
        """Nothing can be read: say whether a beat is due, and judge nothing; it is taken for sent."""
        if self._beat_at is None or now < self._beat_at:
            return False
        self._beat_at = now + self.interval_s
        self._note_sent(now)
        return True

    def sighted(self, now: float) -> None:
        """It can be read again. What waits unread may hold ACKs, so judging begins anew."""
        if self._unacked_since is not None:
            self._unacked_since = now
        if self._judge_at is not None:
            self._judge_at = now + _PROBE_S

    def _is_overdue(self, now: float) -> bool:
        since = self._unacked_since
        if since is None:
            return False
        waited_s = now - since
        # A beat that op 1 asked for may be younger than an interval; it isn't judged yet.
        silent = self._heard_at <= since and waited_s >= self.interval_s - _SLACK_S
        return silent or waited_s >= 2 * self.interval_s

    def requested(self, now: float) -> bool:
        """Op 1: say whether to answer; the timer stays as it is, and no ACK is missed by it.

        A peer that asks so often that answering would break the send limit gets no answer.
        """
        if not self._budget.may_answer(now):
            return False
        self._note_sent(now)
        return True

    def _note_sent(self, now: float) -> None:
        self._budget.note(now)
        self._unacked.append(now)
        if self._unacked_since is None:
            self._unacked_since = now
