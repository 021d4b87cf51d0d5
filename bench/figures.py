"""Decides (pure): percentiles, and the spread of several runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of all values don't exceed (nearest rank).

    Raises:
        ValueError: there are no values, or no such share.
    """
    if not values:
        raise ValueError("no values")
    if not 0 <= share <= 1:
        raise ValueError(f"{share} is no share")
    rank = max(math.ceil(share * len(values) - 1e-9), 1)  # 0.999 * 1000 must not become 1000
    return sorted(values)[rank - 1]


@dataclass(frozen=True, slots=True)
class Spread:
    """What several runs gave."""

    median: float
    low: float
    high: float
    runs: int


def spread(values: Sequence[float]) -> Spread:
    """Return the median, the least and the greatest of some runs.

    Raises:
        ValueError: there are no runs.
    """
    if not values:
        raise ValueError("no runs")
    return Spread(statistics.median(values), min(values), max(values), len(values))
