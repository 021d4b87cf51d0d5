"""How many identifies may still be spent today (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


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
        cls, total: int, remaining: int, reset_at: float, *, fraction: float, shards: int, spent: int = 0
    ) -> Budget:
        """Return the budget with which a cluster of `shards` shards starts.

        The reserve is `fraction` of `total`, or one cold start where that is more. It never stands in
        the way of the first cold start: while `remaining` suffices for one it is cut to what that leaves
        over (1000 shards' worth left, 600 shards: reserve 400). Where `remaining` doesn't suffice,
        nothing is cut, and so nothing is granted: half a cluster isn't worth the last identifies.
        Cutting it is the operator's privilege of starting the cluster; `refilled` never does it.

        Args:
            total, remaining: as Discord told.
            reset_at: monotonic moment (s) of the reset.
            fraction: of `total`, 0.0 to 1.0.
            shards: how many this cluster runs.
            spent: identifies of the last 24 h by our own ledger. Discord may not count refused ones; we do.
        """
        left = max(0, min(remaining, total - spent))
        reserve = max(math.ceil(fraction * total), shards)
        if left >= shards:
            reserve = min(reserve, left - shards)
        return cls(total, left, reset_at, reserve)

    @property
    def spendable(self) -> int:
        """How many may be granted, 0 or more."""
        return max(0, self.remaining - self.reserve)

    def spent(self) -> Budget:
        """Return the budget after one identify."""
        return replace(self, remaining=max(0, self.remaining - 1))

    def refilled(self, limits: Budget, now: float) -> Budget:
        """Return the budget after Discord was asked again and said `limits`.

        Before the reset the reserve stays as it is, or each answer would cut another start out of it.
        """
        if now < self.reset_at:
            return replace(limits, reserve=self.reserve, reset_at=min(self.reset_at, limits.reset_at))
        if limits.remaining <= self.remaining:  # not counted anew, whatever the reset said
            return replace(limits, reserve=self.reserve)
        return limits
