"""When to say how many shards are live, so that a log tells of an outage and doesn't drown in it (pure)."""

from __future__ import annotations

import logging
from typing import Final

from gwcluster.board import Counts
from gwcluster.spans import span

SETTLE_S: Final = 2.0
"""A change that doesn't last so long is told by its shards alone: a RESUME takes less."""

AGAIN_S: Final = 60.0
RARELY_S: Final = 3600.0
"""It is said again after so long, then twice as long, and at last once an hour."""


class Headcount:
    """Looks at the counts at every change and every few seconds; moments are monotonic seconds."""

    def __init__(self) -> None:
        self._was_whole = False
        self._broken_since: float | None = None
        self._whole_since: float | None = None
        self._say_at = 0.0
        self._again_s = AGAIN_S

    def look(self, counts: Counts, now: float) -> tuple[int, str] | None:
        """Return a level of logging's and what is to be said now, None for nothing."""
        if counts.total == 0:
            self._broken_since = self._whole_since = None
            self._was_whole = False
            return None  # other hosts run all of them: what comes here is a beginning
        if counts.ready < counts.total:
            return self._broken(counts, now)
        if not self._was_whole:
            self._was_whole = True
            self._broken_since = None
            return logging.INFO, f"ready: all {counts.total} shards are live"
        if self._broken_since is None:
            return None
        if self._whole_since is None:
            self._whole_since = now
        if now - self._whole_since < SETTLE_S:
            return None
        lasted = span(self._whole_since - self._broken_since)
        self._broken_since = None
        return logging.INFO, f"ready: all {counts.total} shards are live again, after {lasted}"

    def _broken(self, counts: Counts, now: float) -> tuple[int, str] | None:
        self._whole_since = None
        if self._broken_since is None:
            self._broken_since = now
            self._say_at = now + (SETTLE_S if self._was_whole else AGAIN_S)
            self._again_s = AGAIN_S
        if now < self._say_at:
            return None
        self._say_at = now + self._again_s
        self._again_s = min(RARELY_S, 2 * self._again_s)
        failed = f"; {counts.failed} failed" if counts.failed else ""
        lasts = span(now - self._broken_since)
        if self._was_whole:
            return (
                logging.WARNING,
                f"only {counts.ready} of {counts.total} shards are live, for {lasts}{failed}",
            )
        return logging.INFO, f"{counts.ready} of {counts.total} shards are live after {lasts}{failed}"
