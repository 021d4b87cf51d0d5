"""Opens when too many identifies of a day brought no shard that lasted (pure).

The reserve stops such a cluster too, but only when the day's budget is gone, and with it every shard
that needs an identify for a good reason.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from gwcluster.identify.retries import PROBE_S

__all__ = ["HOLD_S", "PROBE_S", "Breaker"]

FRACTION: Final = 0.2
LEAST: Final = 10
"""Not even a simulator's small limit opens the breaker before so many."""

DAY_S: Final = 86_400.0
HOLD_S: Final = 60.0
"""A session that is live for so long at a stretch has been worth its identify."""


@dataclass(slots=True)
class _Pending:
    sent_at: float
    ready_at: float | None = None


class Breaker:
    """Counts identifies that bore nothing in 24 h, and opens when they are a fifth of the daily limit.

    One bore nothing when its shard was refused or came again before its session had been live for a minute;
    one whose answer is still to come isn't judged, so slow READYs of a large start open nothing. While
    open, one try is let through every five minutes, and the first that lasts closes the breaker.

    Args:
        total: Discord's daily limit.
    """

    def __init__(self, *, total: int) -> None:
        self.limit = LEAST
        """So many identifies for nothing open it."""
        self.allow(total)
        self.probe_at: float | None = None
        """While open: the moment of the next try. None: closed."""
        self._opened_at = 0.0
        self._fruitless: deque[float] = deque()
        self._pending: dict[int, _Pending] = {}

    def allow(self, total: int) -> None:
        """Discord's daily limit is `total`."""
        self.limit = max(LEAST, math.ceil(FRACTION * total))

    def sent(self, shard: int, at: float) -> None:
        """An IDENTIFY of `shard` was written."""
        self._pending[shard] = _Pending(at)

    def ready(self, shard: int, now: float) -> None:
        """READY answered it, or RESUMED after the connection was lost."""
        pending = self._pending.get(shard)
        if pending is not None and pending.ready_at is None:
            pending.ready_at = now

    def left(self, shard: int) -> None:
        """`shard` isn't live any more; unless it resumes, its session has lasted until now. Settle first."""
        if shard in self._pending:
            self._pending[shard].ready_at = None

    def again(self, shard: int, now: float) -> bool:
        """`shard` was refused, or needs another identify; say whether its last one so bore nothing.

        Settle first.
        """
        if self._pending.pop(shard, None) is None:
            return False
        self._fruitless.append(now)
        if len(self._fruitless) >= self.limit and self.probe_at is None:
            self._opened_at = now
            self.probe_at = now + PROBE_S
        return True

    def granted(self, now: float) -> None:
        """A permit left; while open it is the only one for a while."""
        if self.probe_at is not None:
            self.probe_at = now + PROBE_S

    def settle(self, now: float) -> list[int]:
        """Judge what has lasted long enough and return it, and forget what is older than a day."""
        lasting = [
            shard
            for shard, pending in self._pending.items()
            if pending.ready_at is not None and now >= pending.ready_at + HOLD_S
        ]
        for shard in lasting:
            if self._pending.pop(shard).sent_at >= self._opened_at and self.probe_at is not None:
                self.probe_at = None
                self._fruitless.clear()
        while self._fruitless and self._fruitless[0] <= now - DAY_S:
            self._fruitless.popleft()
        return lasting

    def allows(self, now: float) -> bool:
        """Return whether a permit may leave now."""
        return self.probe_at is None or now >= self.probe_at

    @property
    def fruitless(self) -> int:
        """Identifies of the last 24 h that bore nothing, since it last closed."""
        return len(self._fruitless)

    @property
    def due(self) -> float | None:
        """While open: when it may close, or lets one through."""
        if self.probe_at is None:
            return None
        lasts_at = [p.ready_at + HOLD_S for p in self._pending.values() if p.ready_at is not None]
        return min([self.probe_at, *lasts_at])
