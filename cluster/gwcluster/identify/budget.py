"""How many identifies may still be spent today (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of Discord's daily limit, and how much of that nobody may take.

    Exceeding the limit ends every session and resets the bot's token, so `remaining` is a wall, and
    the reserve stands before it: it stops a loop that burns identifies while a whole start is still left.

    Attributes:
        total: identifies that Discord allows in a day.
        remaining: those not spent yet, 0 to `total`.
        reset_at: monotonic moment (s) at which Discord counts anew.
        reserve: part of `remaining` that is never granted.

    Sources:
        https://docs.discord.com/developers/events/gateway#session-start-limit-object
    """

    total: int
    remaining: int
    reset_at: float
    reserve: int

    @classmethod
    def of(
        cls,
        total: int,
        remaining: int,
        reset_at: float,
        *,
        fraction: float,
        shards: int,
        spent: int = 0,
        approved: int = 0,
    ) -> Budget:
        """Return the budget with which a cluster of `shards` shards starts.

        The reserve is `fraction` of `total`, or one cold start where that is more. A day's first cold start
        always fits beside it (limit 1000, 600 shards: reserve 400). It doesn't depend on what is left, or a
        cluster that starts again and again would take a start out of it each time; only the operator can
        let one start have some of it.

        Args:
            total, remaining: as Discord told.
            reset_at: monotonic moment (s) of the reset.
            fraction: of `total`, 0.0 to 1.0.
            shards: how many this cluster runs.
            spent: identifies of the last 24 h by our own ledger. Discord may not count refused ones; we do.
            approved: so many the operator wants to be granted even out of the reserve.
        """
        left = max(0, min(remaining, total - spent))
        reserve = min(max(math.ceil(fraction * total), shards), max(0, total - shards))
        if approved:
            reserve = min(reserve, max(0, left - approved))
        return cls(total, left, reset_at, reserve)

    @property
    def spendable(self) -> int:
        """How many may be granted, 0 or more."""
        return max(0, self.remaining - self.reserve)

    def spent(self, count: int = 1) -> Budget:
        """Return the budget after so many identifies."""
        return replace(self, remaining=max(0, self.remaining - count))

    def refilled(self, limits: Budget, now: float) -> Budget:
        """Return the budget after Discord was asked again and said `limits`.

        Before the reset a reserve that the operator lowered stays so.
        """
        if self is UNKNOWN:
            return limits
        if now < self.reset_at:
            return replace(limits, reserve=self.reserve, reset_at=min(self.reset_at, limits.reset_at))
        if limits.remaining <= self.remaining:  # not counted anew, whatever the reset said
            return replace(limits, reserve=self.reserve)
        return limits


UNKNOWN: Final = Budget(total=0, remaining=0, reset_at=float("-inf"), reserve=0)
"""Before Discord's first answer: nothing may be spent."""
