"""How long to wait before the next try (pure); supervisor, worker and REST all use it."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Delays whose ceiling doubles from `base_s` to `cap_s`, each evenly between half of it and all of it.

    Half is the floor so that a failing thing never spins; the spread keeps many that failed together apart.

    Args:
        base_s: the first ceiling, in seconds, above 0.
        cap_s: the highest ceiling, in seconds.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
    """

    def __init__(self, *, base_s: float = 1.0, cap_s: float = 60.0, jitter: Callable[[], float]) -> None:
        assert 0 < base_s <= cap_s
        self._base_s = base_s
        self._cap_s = cap_s
        self._jitter = jitter
        self._ceiling_s = base_s

    def next(self) -> float:
        """Return the seconds to wait now, and double the ceiling for the time after."""
        ceiling_s = self._ceiling_s
        self._ceiling_s = min(self._cap_s, ceiling_s * 2)
        return ceiling_s * (0.5 + 0.5 * self._jitter())

    def reset(self) -> None:
        """Begin anew at `base_s`: what was tried has been well for long enough."""
        self._ceiling_s = self._base_s
