"""How long to wait after a death, and when to give up (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from gwcluster.backoff import Backoff

HEALTHY_S: Final = 60.0
"""What was well for so long starts with a clean slate. Less, and a worker that comes up and falls over in
a loop would spend an identify each time."""


class Patience:
    """Counts the deaths of one thing.

    Args:
        restarts: so many deaths within `within_s` are put up with, not one more.
        within_s: see `restarts`, in seconds.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
    """

    def __init__(self, *, restarts: int, within_s: float, jitter: Callable[[], float]) -> None:
        self.died = 0
        """All deaths ever."""
        self._restarts = restarts
        self._within_s = within_s
        self._backoff = Backoff(jitter=jitter)
        self._recent: deque[float] = deque()
        self._stumbled = False  # died since it was last well for long

    @property
    def recent(self) -> str:
        """Say how many deaths count against the bound, as of the last one."""
        return f"{len(self._recent)} times within {self._within_s:g} s"

    def death(self, now: float, *, well_s: float | None) -> float | None:
        """Return the seconds to wait before the next start, or None when patience is at its end.

        Args:
            now: monotonic seconds.
            well_s: how long it had been well, in seconds; None if it never was. The first death of something
                that had been well is followed by a start at once, all others by a doubling wait.
        """
        if well_s is not None and well_s >= HEALTHY_S:
            self._backoff.reset()
            self._stumbled = False
        delay_s = 0.0 if well_s is not None and not self._stumbled else self._backoff.next()
        self._stumbled = True
        self.died += 1
        self._recent.append(now)
        while self._recent[0] <= now - self._within_s:
            self._recent.popleft()
        return None if len(self._recent) > self._restarts else delay_s

    def bound(self, *, restarts: int, within_s: float) -> None:
        """Change the bound; what was counts by the new one from the next death on."""
        self._restarts, self._within_s = restarts, within_s

    def forgive(self) -> None:
        """Forget what was: an operator wants another try."""
        self._recent.clear()
        self._backoff.reset()
        self._stumbled = False
