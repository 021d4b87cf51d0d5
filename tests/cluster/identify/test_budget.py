from __future__ import annotations

import pytest

from gwcluster.identify.budget import Budget

DAY_S = 86_400.0


def start(total: int, remaining: int, *, shards: int, fraction: float = 0.1, spent: int = 0) -> Budget:
    return Budget.of(total, remaining, 10_000.0 + DAY_S, fraction=fraction, shards=shards, spent=spent)


@pytest.mark.parametrize(
    ("total", "remaining", "shards", "reserve", "spendable"),
    [
        (1000, 1000, 4, 100, 900),  # a tenth of the limit
        (1000, 1000, 500, 500, 500),  # one cold start is more than a tenth
        (1000, 1000, 600, 400, 600),  # what the first cold start leaves over
        (1000, 120, 4, 100, 20),
        (1000, 105, 8, 97, 8),  # the operator's start may take of the reserve
        (1000, 8, 8, 0, 8),
        (1000, 3, 8, 100, 0),  # not enough for one start: nothing is granted
        (3, 3, 8, 8, 0),
        (1000, 0, 4, 100, 0),
        (2001, 2001, 1, 201, 1800),  # rounded up
    ],
)
def test_the_reserve_leaves_room_for_one_cold_start_or_grants_nothing(
    total: int, remaining: int, shards: int, reserve: int, spendable: int
) -> None:
    budget = start(total, remaining, shards=shards)
    assert (budget.reserve, budget.spendable) == (reserve, spendable)


def test_our_own_count_of_the_day_holds_where_discord_counts_less() -> None:
    assert start(1000, 990, shards=4, spent=850).remaining == 150
    assert start(1000, 100, shards=4, spent=850).remaining == 100
    assert start(1000, 990, shards=4, spent=1200).remaining == 0


def test_asking_again_before_the_reset_does_not_cut_a_second_start_out_of_the_reserve() -> None:
    budget = start(1000, 105, shards=8)
    for _ in range(8):
        budget = budget.spent()
    assert budget.spendable == 0
    again = budget.refilled(start(1000, 97, shards=8), now=10_500.0)
    assert (again.remaining, again.spendable) == (97, 0)


def test_asking_again_in_the_middle_of_a_cold_start_does_not_stop_it() -> None:
    budget = start(1000, 600, shards=500)
    for _ in range(250):
        budget = budget.spent()
    assert budget.refilled(start(1000, 350, shards=500), now=10_500.0).spendable == 250


def test_the_reset_brings_the_whole_budget_back() -> None:
    budget = start(1000, 105, shards=8)
    fresh = Budget.of(1000, 1000, 10_000.0 + 2 * DAY_S, fraction=0.1, shards=8)
    assert budget.refilled(fresh, now=10_000.0 + DAY_S) == fresh


def test_a_reset_that_changed_nothing_keeps_the_reserve() -> None:
    # {"remaining": 8, "reset_after": 0} was seen: the reset is always now, and nothing comes back.
    budget = Budget.of(1000, 8, 10_000.0, fraction=0.1, shards=4).spent().spent().spent().spent()
    again = Budget.of(1000, 4, 10_005.0, fraction=0.1, shards=4)
    assert again.spendable == 4
    assert budget.refilled(again, now=10_005.0).spendable == 0
