"""Notices that the machine slept, or that its clock was moved (pure).

The monotonic clock stands still while a machine is suspended; the boot clock does not, and no correction of
the time of day moves it. So the difference of the two is sleep and nothing else. A whole virtual machine
that was paused shows only in the time of day, and so does a clock that was set: there, one heartbeat tells.

Sources:
    https://man7.org/linux/man-pages/man2/clock_gettime.2.html (CLOCK_BOOTTIME)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gwworker.events import Doubted, Slept

LEAST_S: Final = 5.0
"""A difference from one look to the next that isn't worth more than a shrug."""


class Clocks:
    """Compares three clocks from one look to the next; all give seconds.

    Args:
        monotonic: stands still while the machine is suspended.
        boot: goes on meanwhile.
        wall: the time of day.
    """

    def __init__(
        self, *, monotonic: Callable[[], float], boot: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._monotonic = monotonic
        self._boot = boot
        self._wall = wall
        self._asleep, self._ahead = self._differences()

    def look(self) -> Slept | Doubted | None:
        """Return what happened since the last look, None if nothing did."""
        was_asleep, was_ahead = self._asleep, self._ahead
        self._asleep, self._ahead = self._differences()
        slept_s = self._asleep - was_asleep
        if slept_s > LEAST_S:
            return Slept(slept_s)
        jumped_s = self._ahead - was_ahead
        if abs(jumped_s) > LEAST_S:
            return Doubted(f"the time of day jumped by {jumped_s:+.0f} s")
        return None

    def _differences(self) -> tuple[float, float]:
        now, boot = self._monotonic(), self._boot()
        return boot - now, self._wall() - boot
