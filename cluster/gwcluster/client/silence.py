"""Which shards have said nothing for too long (pure): their new owner may be a host that isn't known yet."""

from __future__ import annotations

from typing import Final

SILENCE_S: Final = 5.0
MAX_SILENCE_S: Final = 30.0
"""A worker's beacon comes every 2 s. After so long without any, at first and at most, the shard is looked
for."""


class Silence:
    """Shards, and when something of each was heard last."""

    def __init__(self) -> None:
        self._heard_at: dict[int, float] = {}
        self._again: dict[int, tuple[float, float]] = {}

    def heard(self, shard: int, now: float) -> None:
        """Something of this shard came, or it begins to be listened for."""
        self._heard_at[shard] = now
        if self._again:
            self._again.pop(shard, None)

    def over(self, now: float) -> list[int]:
        """Return the shards that are to be looked for now; each is returned again after twice as long."""
        found = []
        for shard, heard_at in self._heard_at.items():
            due, wait_s = self._again.get(shard) or (heard_at + SILENCE_S, SILENCE_S)
            if due <= now:
                found.append(shard)
                wait_s = min(2 * wait_s, MAX_SILENCE_S)
                self._again[shard] = now + wait_s, wait_s
        return found

    @property
    def due(self) -> float | None:
        """When `over` has something to tell, if nothing is heard, monotonic seconds."""
        moments = [
            self._again[shard][0] if shard in self._again else heard_at + SILENCE_S
            for shard, heard_at in self._heard_at.items()
        ]
        return min(moments, default=None)
