"""Decides (pure): how often a client may identify, send and ask.

Sources:
    https://docs.discord.com/developers/events/gateway#rate-limiting
    https://docs.discord.com/developers/events/gateway#session-start-limit-object
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from gwsimulator.settings import WindowOrigin

DAY_S: Final = 86_400.0

PRESENCES: Final = (5, 20.0)
"""How many presences in how many seconds.

Source: https://github.com/discord/discord-api-docs/blob/e54e2c89~1/docs/topics/Gateway.md (gone since 2022)
"""

INVALID_ANSWERS_WINDOW_S: Final = 600.0
"""Source: https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit"""


@dataclass(slots=True)
class IdentifyWindows:
    """At most one IDENTIFY per `shard % max_concurrency` and window."""

    max_concurrency: int
    window_s: float
    origin: WindowOrigin = "attempt"
    _last: dict[int, float] = field(default_factory=dict)

    def since_last(self, shard: int, now: float) -> float | None:
        """Return the seconds since the key's window opened when that is too few, else None."""
        last = self._last.get(shard % self.max_concurrency)
        return None if last is None or now - last >= self.window_s else now - last

    def attempted(self, shard: int, now: float) -> None:
        """Note an IDENTIFY, whatever comes of it."""
        if self.origin == "attempt":
            self._last[shard % self.max_concurrency] = now

    def accepted(self, shard: int, now: float) -> None:
        """Note an IDENTIFY that READY will follow on; with the origin `ready` its key waits for that."""
        if self.origin != "attempt":
            self._last[shard % self.max_concurrency] = now

    def greeted(self, shard: int, now: float) -> None:
        """Note a READY."""
        if self.origin == "ready":
            self._last[shard % self.max_concurrency] = now


@dataclass(slots=True)
class BucketOrder:
    """Buckets of `max_concurrency` consecutive shards, each to be started before the next."""

    max_concurrency: int
    _started: dict[int, set[int]] = field(default_factory=dict)

    def start(self, shard: int, shards: int) -> bool:
        """Note a shard's IDENTIFY; return whether every shard of the buckets before it had one already."""
        started = self._started.setdefault(shards, set())
        before = shard - shard % self.max_concurrency
        in_order = shard in started or all(one in started for one in range(before))
        if in_order:
            started.add(shard)
        return in_order


@dataclass(slots=True)
class DailyLimit:
    """IDENTIFYs per day: in a window that starts with the first of them, or that slides."""

    total: int
    used_before: int = 0
    """Used at the start; they come back with the first one counted here."""
    sliding: bool = False
    _at: deque[float] = field(default_factory=deque)
    _since: float | None = None

    def spend(self, now: float) -> bool:
        """Count one; return whether it was still within the limit."""
        self._roll(now)
        if self._since is None:
            self._since = now
        self._at.append(now)
        return self.used(now) <= self.total

    def used(self, now: float) -> int:
        """Return how many count."""
        self._roll(now)
        return self.used_before + len(self._at)

    def remaining(self, now: float) -> int:
        """Return how many are left."""
        return max(0, self.total - self.used(now))

    def reset_after_ms(self, now: float) -> int:
        """Return the milliseconds until all are back, or the first in a window that slides; 0: all are."""
        self._roll(now)
        if self._since is None:
            return 0 if self.used_before == 0 else math.ceil(DAY_S * 1000)
        return math.ceil((self._since + DAY_S - now) * 1000)

    def _roll(self, now: float) -> None:
        if self._since is None or now - self._since < DAY_S:
            return
        self.used_before = 0
        while self._at and (not self.sliding or now - self._at[0] >= DAY_S):
            self._at.popleft()
        self._since = self._at[0] if self._at else None


@dataclass(slots=True)
class SlidingLimit:
    """So many of something in any window; refused ones count too."""

    most: int
    window_s: float
    _at: deque[float] = field(default_factory=deque)

    def take(self, now: float) -> bool:
        """Count one; return whether it was allowed."""
        self._at.append(now)
        return self.left(now) >= 0

    def left(self, now: float) -> int:
        """Return how many more are allowed now; negative: that many too many."""
        while self._at and now - self._at[0] >= self.window_s:
            self._at.popleft()
        return self.most - len(self._at)

    def free_after_s(self, now: float) -> float:
        """Return the seconds until one counts no longer; 0 when none does."""
        self.left(now)
        return self._at[0] + self.window_s - now if self._at else 0.0


class RestQuota:
    """How many REST requests a client may send, and how many of them may have been answered by a refusal."""

    def __init__(self, *, per_second: int, invalid_most: int) -> None:
        """Start with full limits."""
        self.requests = SlidingLimit(per_second, 1.0)
        self.invalid = SlidingLimit(invalid_most, INVALID_ANSWERS_WINDOW_S)
