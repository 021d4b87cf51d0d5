"""Which workers have been silent for so long that they must hang (pure).

A worker tells its figures every few seconds, also while its disk doesn't answer. One that is stuck for
whatever else says nothing, hears nothing of Discord's, and doesn't die: its shard would be deaf for ever.
"""

from __future__ import annotations

from typing import Final

SILENT_S: Final = 20.0
"""Ten pulses. Discord keeps what it could not deliver for minutes or some hundred events, so time counts."""

LOOK_S: Final = 5.0
STALLED_S: Final = 2.0
"""A look that comes so much too late shows that it was we who were stuck; what workers said waits unread."""


class Pulses:
    """When each worker was last heard; moments are monotonic seconds."""

    def __init__(self) -> None:
        self._heard_at: dict[int, float] = {}
        self._look_at: float | None = None

    @property
    def due(self) -> float | None:
        """When to look next, None while there is no worker."""
        return self._look_at if self._heard_at else None

    def began(self, shard: int, now: float) -> None:
        """The shard's worker was started."""
        if not self._heard_at:
            self._look_at = now + LOOK_S
        self._heard_at[shard] = now

    def heard(self, shard: int, now: float) -> None:
        """It said something; the last words of one that is gone are nothing to go by."""
        if shard in self._heard_at:
            self._heard_at[shard] = now

    def gone(self, shard: int) -> None:
        """The shard has no worker any more."""
        self._heard_at.pop(shard, None)

    def look(self, now: float) -> list[int]:
        """Return the shards whose workers hang, each again after as long a silence."""
        if self._look_at is None or now < self._look_at:
            return []
        stalled_s = now - self._look_at
        self._look_at = now + LOOK_S
        if stalled_s > STALLED_S:
            self._heard_at = {shard: heard_at + stalled_s for shard, heard_at in self._heard_at.items()}
        hanging = [shard for shard, heard_at in self._heard_at.items() if now - heard_at >= SILENT_S]
        self._heard_at.update(dict.fromkeys(hanging, now))
        return hanging
