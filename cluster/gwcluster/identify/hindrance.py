"""What keeps permits from leaving, in words, and when Discord is to be asked about it (pure)."""

from __future__ import annotations

import enum
from typing import Final, assert_never

from gwcluster.identify.breaker import PROBE_S
from gwcluster.identify.budget import UNKNOWN, Budget
from gwcluster.identify.caution import Caution
from gwcluster.spans import span

ASK_FLOOR_S: Final = 5.0
"""Least time between two looks at a used-up limit; Discord has been seen saying `reset_after: 0` there.

Each further answer that says so doubles it: it is our own count then that has to come down.
"""

ASK_CEILING_S: Final = 900.0
"""Most time between them: our own count of the last 24 h may free some before Discord's reset."""


class Kind(enum.Enum):
    """The foremost reason for which permits wait."""

    UNASKED = "Discord has not told the limits yet"
    BUDGET = "the day's budget is used up"
    BREAKER = "too many identifies bore nothing"
    RETRIES = "too many shards fail for what is left"


class Hindrance:
    """The present reason, if any.

    Attributes:
        text: a line for people; changes only when the reason does, or when Discord was asked anew.
    """

    def __init__(self) -> None:
        self.text: str | None = None
        self._kind: Kind | None = None
        self._reset_at = 0.0
        self._looked_at: float | None = None  # while the budget is used up
        self._answers = 0  # that didn't help, in a row

    def look(self, budget: Budget, caution: Caution, now: float) -> None:
        """See how things stand at monotonic `now`."""
        kind = _kind(budget, caution)
        if kind is not Kind.BUDGET:
            self._looked_at = None
            self._answers = 0
        elif self._looked_at is None:
            self._looked_at, self._reset_at = now, budget.reset_at
            self._kind = None
        if kind is not self._kind:
            self._kind = kind
            self.text = None if kind is None else _words(kind, budget, caution, now)

    def asked(self) -> None:
        """Discord told the limits."""
        self._looked_at = None
        self._answers += 1

    @property
    def ask_again_at(self) -> float | None:
        """When to ask /gateway/bot again because the budget is used up; None while it isn't."""
        if self._looked_at is None:
            return None
        if self._reset_at > self._looked_at:
            return max(self._looked_at + ASK_FLOOR_S, min(self._reset_at, self._looked_at + ASK_CEILING_S))
        doublings = min(max(0, self._answers - 1), 16)
        return self._looked_at + min(ASK_FLOOR_S * (1 << doublings), ASK_CEILING_S)


def _kind(budget: Budget, caution: Caution) -> Kind | None:
    if budget is UNKNOWN:
        return Kind.UNASKED
    if budget.spendable <= 0:
        return Kind.BUDGET
    if caution.breaker.probe_at is not None:
        return Kind.BREAKER
    return Kind.RETRIES if caution.retries.probing is not None else None


def _words(kind: Kind, budget: Budget, caution: Caution, now: float) -> str:
    left = f"{budget.remaining} of {budget.total} identifies a day are left"
    match kind:
        case Kind.UNASKED:
            return "Discord has not told yet how many identifies are left: shards may only resume"
        case Kind.BUDGET:
            return (
                f"{left} and {budget.reserve} of them kept in reserve: no shard may identify "
                f"until Discord's reset in {span(budget.reset_at - now)}"
            )
        case Kind.BREAKER:
            return (
                f"{caution.breaker.fruitless} identifies of the last 24 h gained no shard that lasted "
                f"a minute, and {left}: only one try every {PROBE_S:.0f} s until one does"
            )
        case Kind.RETRIES:
            return (
                f"{left}, too few for the shards that identify in vain again and again "
                f"({caution.retries.probing}): one of them tries every {PROBE_S:.0f} s until that lasts"
            )
        case _:
            assert_never(kind)
