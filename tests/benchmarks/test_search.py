"""The search finds the highest rate that holds, and says when there was none or no end."""

from __future__ import annotations

import pytest

from bench.search import Search


def found(limit: float, start: float = 1_000.0, ceiling: float = 64_000.0) -> tuple[Search, list[float]]:
    search = Search(start, ceiling)
    tried: list[float] = []
    while search.rate is not None:
        assert len(tried) < 30
        tried.append(search.rate)
        search.told(search.rate <= limit)
    return search, tried


@pytest.mark.parametrize("limit", [1_000.0, 1_500.0, 7_777.0, 63_000.0])
def test_it_finds_the_limit_to_a_tenth(limit: float) -> None:
    search, tried = found(limit)
    assert 0.88 * limit <= search.best <= limit
    assert len(tried) <= 12


def test_it_doubles_before_it_halves() -> None:
    assert found(5_000.0)[1][:5] == [1_000.0, 2_000.0, 4_000.0, 8_000.0, 6_000.0]


def test_it_goes_below_where_it_began() -> None:
    assert 0.88 * 300 <= found(300.0)[0].best <= 300


def test_it_gives_up_where_nothing_holds() -> None:
    search, _ = found(0.0)
    assert search.best == 0.0
    assert not search.reached_ceiling


def test_it_says_that_the_ceiling_held() -> None:
    search, tried = found(1e9)
    assert search.best == 64_000.0
    assert search.reached_ceiling
    assert tried[-1] == 64_000.0
