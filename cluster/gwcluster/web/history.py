"""What changed in the last hour, and how rates and latencies were (pure)."""

from __future__ import annotations

import statistics
from collections import deque
from typing import Any, Final

KEPT_S: Final = 3600.0
SAMPLE_S: Final = 10.0
MAX_CHANGES: Final = 1000
"""Most changes of state that are kept; of more, the oldest are left out and counted."""


class History:
    """Remembers the last hour; moments are Unix seconds, as in the status document."""

    def __init__(self) -> None:
        self._states: dict[int, tuple[str, float]] = {}
        self._changes: deque[dict[str, Any]] = deque()
        self._samples: deque[dict[str, Any]] = deque()
        self._left_out: deque[float] = deque(maxlen=MAX_CHANGES)
        self._sample_at = float("-inf")

    def look(self, document: dict[str, Any]) -> None:
        """Note what is another state than at the last look, and every so often how fast everything is."""
        now = document["now"]
        for shard in document["shard"]:
            before, is_now = self._states.get(shard["shard"]), (shard["state"], shard["since"])
            if before != is_now:  # the same state since another moment: it was left and came back meanwhile
                self._states[shard["shard"]] = is_now
                if before is not None:
                    self._note(shard, before[0])
        if now >= self._sample_at or now < self._sample_at - SAMPLE_S:  # also when the clock was set back
            self._sample_at = now + SAMPLE_S
            self._samples.append(_sample(document))
        self._forget(now - KEPT_S)

    def document(self) -> dict[str, Any]:
        """Return it all as JSON's types, the oldest first."""
        return {
            "kept_s": KEPT_S,
            "changes": list(self._changes),
            "left_out": len(self._left_out),
            "samples": list(self._samples),
        }

    def _note(self, shard: dict[str, Any], before: str) -> None:
        if len(self._changes) >= MAX_CHANGES:
            self._left_out.append(self._changes.popleft()["at"])
        self._changes.append(
            {
                "at": shard["since"],
                "shard": shard["shard"],
                "from": before,
                "to": shard["state"],
                "reason": shard["reason"],
            }
        )

    def _forget(self, before: float) -> None:
        for kept in (self._changes, self._samples):
            while kept and kept[0]["at"] < before:
                kept.popleft()
        while len(self._samples) > KEPT_S / SAMPLE_S:  # a clock that was set back adds more
            self._samples.popleft()
        while self._left_out and self._left_out[0] < before:
            self._left_out.popleft()


def _sample(document: dict[str, Any]) -> dict[str, Any]:
    latencies = [
        shard["latency_s"] for shard in document["shard"] if shard["fresh"] and shard["latency_s"] is not None
    ]
    return {
        "at": document["now"],
        "ready": document["ready"],
        "events_per_s": document["events_per_s"],
        "latency_s": statistics.median(latencies) if latencies else None,
        "worst_latency_s": max(latencies, default=None),
    }
