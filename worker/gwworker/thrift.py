"""When free memory goes back to the system (pure).

A start hands a shard thousands of guilds, some of them large. What they took is free afterwards, and malloc
keeps most of it. Giving it back takes a fraction of a millisecond, taking it again some more. So it is done
when a worker holds much more than it needed before and holds still, and not all the time.
"""

from __future__ import annotations

from typing import Final

LOOK_S: Final = 5.0
WORTH_BYTES: Final = 1 << 20
STILL_BYTES: Final = 256 << 10
AGAIN_S: Final = 15.0


class Thrift:
    """Looks at how much of a worker is in memory; sizes are bytes, moments monotonic seconds.

    Args:
        resident: what is now, before any event.
    """

    def __init__(self, resident: int) -> None:
        self._least = resident
        self._last = resident
        self._look_at = float("-inf")
        self._trim_at = float("-inf")

    def is_due(self, now: float) -> bool:
        """Say whether it is time to `look`."""
        return now >= self._look_at

    def look(self, resident: int, now: float) -> bool:
        """Say whether to give back what is free; then tell `trimmed` what is left."""
        self._look_at = now + LOOK_S
        still = abs(resident - self._last) <= STILL_BYTES
        self._last = resident
        self._least = min(self._least, resident)
        return still and resident - self._least >= WORTH_BYTES and now >= self._trim_at

    def trimmed(self, resident: int, now: float) -> None:
        """What was free is given back; what is resident now is in use."""
        self._least = self._last = resident
        self._trim_at = now + AGAIN_S
