"""Which hosts are missing that were there before (pure)."""

from __future__ import annotations

from typing import Final

from gwcluster.sight import Neighbours

REMEMBERED_S: Final = 24 * 3600.0
"""So long a host is missed; after that it was probably taken away for good."""

MOST: Final = 256
"""Hosts that are remembered; of more, those that were not heard of for the longest are forgotten."""


class RollCall:
    """Remembers who was there. Moments are monotonic seconds."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._missing: frozenset[str] = frozenset()

    def missing(self, seen: Neighbours, now: float) -> frozenset[str]:
        """Return hosts that went without having handed their shards on.

        While NATS doesn't answer nobody knows: then it is those that were missing before.
        """
        if seen.present is None:
            return self._missing
        for name in seen.present:
            self._last.pop(name, None)  # whoever was heard of last is last
            if name not in seen.draining:  # who drains may go
                self._last[name] = now
        too_many = len(self._last) - MOST
        for place, (name, at) in enumerate(list(self._last.items())):
            if place < too_many or now - at > REMEMBERED_S:
                del self._last[name]
        self._missing = frozenset(self._last.keys() - seen.present)
        return self._missing
