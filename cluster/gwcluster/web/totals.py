"""Counters that a worker's end doesn't set back (pure).

A worker counts from its own beginning. Here what each one counted is added up, as far as it was heard: one
that is killed takes with it what it counted since its last figures, about two seconds.
"""

from __future__ import annotations

from typing import Any, Final

COUNTED: Final = ("events", "resumes", "identifies")
"""Keys of a shard in the status document that begin anew with each worker."""


class Totals:
    """Sums for each shard since the cluster began."""

    def __init__(self) -> None:
        self._of: dict[int, dict[str, int]] = {}
        self._last: dict[int, tuple[int | None, dict[str, int]]] = {}

    def look(self, document: dict[str, Any]) -> None:
        """Take the figures of a status document; those of documents that nobody showed us are lost."""
        for shard in document["shard"]:
            if shard["events"] is not None:
                self._take(shard["shard"], shard["pid"], {key: shard[key] for key in COUNTED})

    def of(self, shard: int) -> dict[str, int]:
        """Return a shard's sums, with zeros before the first figures."""
        return dict(self._of.get(shard) or dict.fromkeys(COUNTED, 0))

    def _take(self, shard: int, pid: int | None, figures: dict[str, int]) -> None:
        last_pid, last = self._last.get(shard, (None, {}))
        if last_pid != pid or any(figures[key] < last.get(key, 0) for key in COUNTED):
            last = {}  # another worker, even if the system gave it the same number
        sums = self._of.setdefault(shard, dict.fromkeys(COUNTED, 0))
        for key in COUNTED:
            sums[key] += figures[key] - last.get(key, 0)
        self._last[shard] = (pid, figures)
