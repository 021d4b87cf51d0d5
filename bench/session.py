"""Decides (pure): a session of the gateway's: which event has which number, and what a RESUME replays."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Session:
    """READY is number 1, events come in order, and each RESUMED takes a number among them.

    Attributes:
        sent: events that were handed to the network, on whichever connection.
    """

    id: str
    shard: tuple[int, int]
    sent: int = 0
    _resumed: list[int] = field(default_factory=list)

    @property
    def last_seq(self) -> int:
        """The last number that was given."""
        return 1 + self.sent + len(self._resumed)

    @property
    def is_as_encoded(self) -> bool:
        """Whether events have the numbers that they were encoded with beforehand."""
        return not self._resumed

    def missed(self, after: int) -> Iterator[tuple[int, int]]:
        """Yield index and number of each event that has a greater number."""
        for seq in range(max(after, 1) + 1, self.last_seq + 1):
            before = bisect.bisect_left(self._resumed, seq)
            if self._resumed[before : before + 1] != [seq]:
                yield seq - 2 - before, seq

    def resumed(self) -> int:
        """Return the number of the next RESUMED."""
        self._resumed.append(self.last_seq + 1)
        return self._resumed[-1]


@dataclass(slots=True)
class Windows:
    """Lets one shard of each key identify in so many seconds, as Discord does.

    Source: https://docs.discord.com/developers/events/gateway#session-start-limit-object
    """

    max_concurrency: int
    window_s: float = 5.0
    slack_s: float = 0.05
    """Clients count 5 s from when they sent, and one IDENTIFY may travel longer than the next."""
    _last: dict[int, float] = field(default_factory=dict)

    def allow(self, shard: int, now: float) -> bool:
        """Take in an IDENTIFY; say whether it came in time."""
        key = shard % self.max_concurrency
        last, self._last[key] = self._last.get(key), now
        return last is None or now - last >= self.window_s - self.slack_s
