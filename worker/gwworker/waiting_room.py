"""Commands that wait (pure): in order, bounded, each for its time only."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gwworker.command_rules import Checked

MAX_WAITING: Final = 1_000
MAX_WAITING_BYTES: Final = 512 << 10
"""What may wait on one shard."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that was accepted; `id` is its caller's, `expires_at` monotonic seconds."""

    id: int
    checked: Checked
    expires_at: float


class WaitingRoom:
    """A queue from which anybody may leave.

    Attributes:
        bytes: of all payloads in it.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._queue: dict[int, Waiting] = {}
        self._expiries: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._queue.values())

    def has_room(self, waiting: Waiting) -> bool:
        """Say whether one more fits."""
        return len(self) < MAX_WAITING and self.bytes + len(waiting.checked.payload) <= MAX_WAITING_BYTES

    def add(self, waiting: Waiting) -> None:
        """Put one at the end."""
        self._queue[waiting.id] = waiting
        self.bytes += len(waiting.checked.payload)
        heapq.heappush(self._expiries, (waiting.expires_at, waiting.id))

    def first(self) -> Waiting:
        """Take the first out; there must be one."""
        return self.take(next(iter(self._queue)))

    def take(self, id_: int) -> Waiting:
        """Take one out that is in it."""
        waiting = self._queue.pop(id_)
        self.bytes -= len(waiting.checked.payload)
        return waiting

    def expired(self, now: float) -> list[Waiting]:
        """Take out all whose time is over."""
        late: list[Waiting] = []
        while (expiry := self.next_expiry) is not None and now >= expiry:
            late.append(self.take(self._expiries[0][1]))
        return late

    @property
    def next_expiry(self) -> float | None:
        """The moment at which the next one's time is over, None if nobody waits."""
        while self._expiries and self._expiries[0][1] not in self._queue:
            heapq.heappop(self._expiries)
        return self._expiries[0][0] if self._expiries else None
