"""Slows down identifies that bear nothing, one shard at a time and all of them together (pure)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from gwcluster.identify.breaker import Breaker
from gwcluster.identify.retries import Retries


@dataclass(frozen=True, slots=True)
class Past:
    """An identify that an earlier coordinator granted; all moments are monotonic seconds.

    Attributes:
        granted_at, sent_at: sent at the lease's end where nothing was reported.
        ready_at: of its READY, None if none came.
        refused_at: of its op 9, None if none came.
    """

    shard: int
    granted_at: float
    sent_at: float
    ready_at: float | None
    refused_at: float | None


class Caution:
    """Hears what became of each identify; `Breaker` then stops the cluster, `Retries` the shard, for a while.

    Args:
        total: Discord's daily limit.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
    """

    def __init__(self, *, total: int, jitter: Callable[[], float]) -> None:
        self.breaker = Breaker(total=total)
        self.retries = Retries(jitter=jitter)

    def granted(self, shard: int, now: float) -> None:
        """A permit leaves."""
        self.breaker.granted(now)
        self.retries.granted(shard, now)

    def sent(self, shard: int, at: float) -> None:
        """An IDENTIFY was written."""
        self.breaker.sent(shard, at)

    def ready(self, shard: int, now: float) -> None:
        """READY answered it, or its session was resumed; whether it was worth it shows in a minute."""
        self.breaker.ready(shard, now)

    def left(self, shard: int, now: float) -> None:
        """`shard` isn't live any more; waits between dials are no part of what a session lasts."""
        self._settle(now)
        self.breaker.left(shard)

    def again(self, shard: int, now: float, spendable: int) -> None:
        """`shard` was refused, or needs another identify: unless its last one lasted, it bore nothing."""
        self._settle(now)
        if self.breaker.again(shard, now):
            self.retries.failed(shard, now, spendable)

    def settle(self, waiting: Collection[int], now: float, spendable: int) -> None:
        """Judge what has lasted, and how fast `waiting` shards may go on with `spendable` left."""
        self._settle(now)
        self.retries.settle(waiting, now, spendable)

    def remember(self, past: Iterable[Past], spendable: int) -> None:
        """Be as slow as whoever granted these was, in the order in which that was.

        Otherwise a coordinator that crashes again and again would begin with a clean slate each time.
        """
        for one in past:
            self.again(one.shard, one.granted_at, spendable)
            self.granted(one.shard, one.granted_at)
            self.sent(one.shard, one.sent_at)
            if one.refused_at is not None:
                self.again(one.shard, one.refused_at, spendable)
            elif one.ready_at is not None:
                self.ready(one.shard, one.ready_at)

    def allows(self, now: float) -> bool:
        """Return whether any permit may leave now."""
        return self.breaker.allows(now)

    def opens_at(self, shard: int) -> float:
        """Return the monotonic moment from which `shard` may have one; -inf if it has not failed."""
        return self.retries.opens_at(shard)

    @property
    def due(self) -> float | None:
        """While no permit may leave: the moment at which one may."""
        return self.breaker.due

    def _settle(self, now: float) -> None:
        for shard in self.breaker.settle(now):
            self.retries.lasted(shard)
