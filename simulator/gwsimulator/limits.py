"""Decides (pure): how often a client may identify and send.

Sources:
    https://docs.discord.com/developers/events/gateway#rate-limiting
    https://docs.discord.com/developers/events/gateway#session-start-limit-object
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

DAY_S: Final = 86_400.0


@dataclass(slots=True)
class IdentifyWindows:
    """At most one IDENTIFY per `shard % max_concurrency` and window, counted from the attempt before it."""

    max_concurrency: int
    window_s: float
    _last: dict[int, float] = field(default_factory=dict)

    def attempt(self, shard: int, now: float) -> float | None:
        """Note an IDENTIFY; return the seconds since the one before when that is too few, else None."""
        key = shard % self.max_concurrency
        before = self._last.get(key)
        self._last[key] = now
        if before is None or now - before >= self.window_s:
            return None
        return now - before


@dataclass(slots=True)
class DailyLimit:
    """IDENTIFYs per day, in a window that starts with the first of them."""

    total: int
    used: int = 0
    _since: float | None = None

    def spend(self, now: float) -> bool:
        """Count one; return whether it was still within the limit."""
        self._roll(now)
        if self._since is None:
            self._since = now
        self.used += 1
        return self.used <= self.total

    def remaining(self, now: float) -> int:
        """Return how many are left."""
        self._roll(now)
        return max(0, self.total - self.used)

    def reset_after_ms(self, now: float) -> int:
        """Return the milliseconds until all are back; 0 when none were used."""
        self._roll(now)
        if self._since is None:
            return 0 if self.used == 0 else math.ceil(DAY_S * 1000)
        return math.ceil((self._since + DAY_S - now) * 1000)

    def _roll(self, now: float) -> None:
        if self._since is not None and now - self._since >= DAY_S:
            self._since, self.used = None, 0


@dataclass(slots=True)
class SendLimit:
    """Messages of one connection in any window of 60 s, heartbeats included."""

    most: int
    window_s: float
    _at: deque[float] = field(default_factory=deque)

    def take(self, now: float) -> bool:
        """Count one message; return whether it was allowed."""
        while self._at and now - self._at[0] >= self.window_s:
            self._at.popleft()
        self._at.append(now)
        return len(self._at) <= self.most
