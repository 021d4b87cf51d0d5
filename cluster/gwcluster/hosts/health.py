"""How JetStream has been answering (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """Moments are monotonic seconds.

    Attributes:
        answered_at: when JetStream last answered; None: never yet.
        unreachable_since: since when it doesn't; None: it does.
        why: the last failure, None while there is none.
        leader: whether somebody leads what we asked for; None: nobody could tell us.
    """

    answered_at: float | None = None
    unreachable_since: float | None = None
    why: str | None = None
    leader: bool | None = None

    def answered(self, now: float) -> bool:
        """An answer came; say whether it is the first one after failures."""
        again = self.unreachable_since is not None
        self.answered_at = now
        self.unreachable_since = self.why = None
        self.leader = True
        return again

    def failed(self, now: float, why: str, *, leaderless: bool) -> bool:
        """No answer came; say whether that is news."""
        news = self.unreachable_since is None
        if news:
            self.unreachable_since = now
        self.why = why
        self.leader = False if leaderless else None
        return news
