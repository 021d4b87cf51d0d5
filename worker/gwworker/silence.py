"""When a shard that used to hear something has been silent for too long (pure).

A gateway can acknowledge every heartbeat and yet deliver nothing. Nothing on the wire tells that from a
quiet hour, but a RESUME does, and it is free: what was held back comes, or Discord says that the session
is gone.
"""

from __future__ import annotations

from typing import Final

LEAST_S: Final = 600.0
MOST_S: Final = 3600.0
"""Bounds of what is too long."""

TIMES: Final = 50.0
"""How many times the usual pause between two events is too long; where nothing came yet, `LEAST_S` is."""

_WEIGHT: Final = 0.1
"""Of the newest observation in the usual pause."""


class Silence:
    """Learns how far apart a shard's events are; all times are monotonic seconds."""

    def __init__(self) -> None:
        self._seq: int | None = None
        self._heard_at = 0.0
        self._pause_s: float | None = None
        self._quiet_s = 0.0  # the longest silence that was only that

    def begin(self, seq: int | None, now: float, *, resumed: bool) -> None:
        """The session is live, with `seq` as its last event, which is READY or RESUMED itself."""
        if resumed and self._seq is not None and seq is not None and seq <= self._seq + 1:
            self._quiet_s = max(self._quiet_s, now - self._heard_at)  # nothing was held back
        self._seq = seq
        self._heard_at = now

    def look(self, seq: int | None, now: float) -> float | None:
        """Look at the session's last seq, from time to time; return the seconds of a suspicious silence."""
        if self._seq is None or seq is None:
            return None
        count = seq - self._seq
        if count > 0:
            pause_s = (now - self._heard_at) / count
            known = self._pause_s
            self._pause_s = pause_s if known is None else known + _WEIGHT * (pause_s - known)
            self._seq, self._heard_at = seq, now
            return None
        silent_s = now - self._heard_at
        patience_s = min(MOST_S, max(LEAST_S, TIMES * (self._pause_s or 0.0), 2 * self._quiet_s))
        return silent_s if silent_s > patience_s else None
