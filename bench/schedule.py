"""Decides (pure): when each shard is sent its next events."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """What each shard is to be sent.

    Attributes:
        count: events of each shard.
        rate: events/s of each shard; 0: as fast as they are taken.
        burst: events that are sent at once.
    """

    count: int
    rate: float
    burst: int = 1

    @property
    def seconds(self) -> float:
        """How long it is to take; 0 if nobody knows."""
        return self.count / self.rate if self.rate else 0.0


class Schedule:
    """Whose turn is when. Each shard has a phase of its own, so that no two go in step."""

    def __init__(self, shards: Iterable[int], pace: Pace, start: float, dice: random.Random) -> None:
        self._pace = pace
        self._every = pace.burst / pace.rate if pace.rate else 0.0
        self._queue = [(start + dice.random() * self._every, shard, 0) for shard in shards]
        heapq.heapify(self._queue)

    def __bool__(self) -> bool:
        return bool(self._queue)

    @property
    def due(self) -> float | None:
        """When the next turn is; None: all are over."""
        return self._queue[0][0] if self._queue else None

    def take(self, now: float) -> list[tuple[float, int, int]]:
        """Return the turns that are due: when each was due, the shard, and how many events."""
        taken = []
        while self._queue and self._queue[0][0] <= now:
            at, shard, done = self._queue[0]
            events = min(self._pace.burst if self._pace.rate else self._pace.count, self._pace.count - done)
            taken.append((at, shard, events))
            if done + events < self._pace.count:
                heapq.heapreplace(self._queue, (at + self._every, shard, done + events))
            else:
                heapq.heappop(self._queue)
        return taken
