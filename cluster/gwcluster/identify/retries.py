"""When a shard whose identify bore nothing may try again (pure).

Evenly distributed waits up to a fixed cap C are 2 * 86,400 / C tries a day for each shard: with 120 s
one shard alone would use up Discord's thousand. So the cap grows with the shards that fail, and with
what is spent already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

BASE_S: Final = 5.0
CAP_S: Final = 60.0
"""The cap while a few shards fail and most of the day's budget is left."""

PROBE_CAP_S: Final = 900.0
"""Where the budget asks for a higher cap, the failing shards wait for one of them to succeed."""

PROBE_S: Final = 300.0
DAY_S: Final = 86_400.0
RECENT_S: Final = 900.0


@dataclass(slots=True)
class _Failing:
    in_a_row: int
    at: float
    next_at: float


class Retries:
    """Waits of the shards that fail: first 1 to 5 s, then a random part of 10, 20, 40 … s up to the cap.

    A shard counts as failing from its second fruitless identify in a row on, and only a session that
    lasted a minute ends the row: READY alone doesn't.

    Args:
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
    """

    def __init__(self, *, jitter: Callable[[], float]) -> None:
        self.probing: int | None = None
        """How many shards fail, while that is too many for the budget: one try every five minutes."""
        self._jitter = jitter
        self._rows: dict[int, _Failing] = {}
        self._tried_at = float("-inf")

    def failed(self, shard: int, now: float, spendable: int) -> None:
        """An identify of `shard` bore nothing; `spendable` more may be spent today."""
        row = self._rows.setdefault(shard, _Failing(0, now, now))
        row.in_a_row, row.at = row.in_a_row + 1, now
        if row.in_a_row == 1:
            row.next_at = now + 1.0 + 4.0 * self._jitter()
            return
        cap_s = min(cap_for(self._failing([shard], now), spendable), PROBE_CAP_S)
        row.next_at = now + self._jitter() * min(cap_s, BASE_S * 2 ** min(row.in_a_row - 1, 16))

    def lasted(self, shard: int) -> None:
        """A session of `shard` has lasted: its row is over, and if it failed before, all begin anew."""
        was_failing = self._is_failing(shard)
        self._rows.pop(shard, None)
        if was_failing:
            for row in self._rows.values():
                row.in_a_row = 1

    def granted(self, shard: int, now: float) -> None:
        """`shard` gets a permit."""
        if self._is_failing(shard):
            self._tried_at = now

    def settle(self, waiting: Collection[int], now: float, spendable: int) -> None:
        """Judge whether what is left suffices for the shards that fail.

        Args:
            waiting: shards that wait for a permit.
            now: monotonic seconds.
            spendable: identifies that may still be spent today.
        """
        failing = self._failing(waiting, now)
        self.probing = failing if failing and cap_for(failing, spendable) > PROBE_CAP_S else None

    def opens_at(self, shard: int) -> float:
        """Return the monotonic moment from which `shard` may try; -inf if it doesn't fail."""
        row = self._rows.get(shard)
        if row is None:
            return float("-inf")
        if self.probing is None or row.in_a_row < 2:
            return row.next_at
        return max(row.next_at, self._tried_at + PROBE_S)

    def _is_failing(self, shard: int) -> bool:
        return shard in self._rows and self._rows[shard].in_a_row >= 2

    def _failing(self, waiting: Collection[int], now: float) -> int:
        """Count those that fail and still try; one that was given up doesn't."""
        waiting = set(waiting)
        return sum(
            row.in_a_row >= 2 and (shard in waiting or now - row.at < RECENT_S)
            for shard, row in self._rows.items()
        )


def cap_for(failing: int, spendable: int) -> float:
    """Return the cap (s) of waits with which `failing` shards don't spend more than `spendable` in a day."""
    return max(CAP_S, 2 * DAY_S * failing / spendable) if spendable > 0 else float("inf")
