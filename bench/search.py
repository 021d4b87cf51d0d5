"""Decides (pure): which rate to try next, to find the highest that holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Search:
    """Doubles the rate until it doesn't hold, then halves the distance until that is small.

    Attributes:
        rate: what to try, events/s; None: the search is over.
        best: the highest that held, 0 if none did.
    """

    rate: float | None
    ceiling: float
    precision: float = 0.1
    best: float = 0.0
    _failed: float | None = None

    def told(self, held: bool) -> None:
        """Take in whether `rate` held."""
        assert self.rate is not None, "the search is over"
        if held:
            self.best = max(self.best, self.rate)
        else:
            self._failed = self.rate
        self.rate = self._next()

    @property
    def reached_ceiling(self) -> bool:
        """Whether nothing that was tried failed, so that the program may be faster than the search goes."""
        return self._failed is None and self.rate is None

    def _next(self) -> float | None:
        if self._failed is None:
            return None if self.best >= self.ceiling else min(2 * self.best, self.ceiling)
        if self._failed - self.best <= self.precision * self._failed:
            return None
        return (
            (self.best + self._failed) / 2
            if self.best
            else (self._failed / 4 if self._failed > 100 else None)
        )
