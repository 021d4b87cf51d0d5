"""Percentiles are ranks of what was measured, and a spread is the median between the extremes."""

from __future__ import annotations

import pytest

from bench.figures import Spread, percentile, spread


@pytest.mark.parametrize(
    ("share", "expected"), [(0, 1), (0.001, 1), (0.5, 500), (0.99, 990), (0.999, 999), (1, 1000)]
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(share: float, expected: float) -> None:
    assert percentile(list(range(1000, 0, -1)), share) == expected


def test_the_worst_of_few_is_their_high_percentile() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.999) == 3.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([7.0], 0.01) == 7.0


def test_there_is_no_percentile_of_nothing_and_no_share_beyond_all() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
    with pytest.raises(ValueError, match=r"1\.5"):
        percentile([1.0], 1.5)


def test_a_spread_is_the_median_and_the_extremes() -> None:
    assert spread([5.0, 1.0, 2.0]) == Spread(2.0, 1.0, 5.0, 3)
    with pytest.raises(ValueError, match="no runs"):
        spread([])
