from __future__ import annotations

import pytest

from gwcluster.identify.budget import UNKNOWN, Budget

DAY_S = 86_400.0


def start(total: int, remaining: int, *, shards: int, fraction: float = 0.1, spent: int = 0) -> Budget:
    return Budget.of(total, remaining, 10_000.0 + DAY_S, fraction=fraction, shards=shards, spent=spent)


@pytest.mark.parametrize(
    ("total", "remaining", "shards", "reserve", "spendable"),
    [
        (1000, 1000, 4, 100, 900),  # a tenth of the limit
        (1000, 1000, 500, 500, 500),  # one cold start is more than a tenth
        (1000, 1000, 600, 400, 600),  # the day's first cold start fits beside it
        (1000, 120, 4, 100, 20),
        (1000, 105, 8, 100, 5),  # five start, three wait
        (1000, 8, 8, 100, 0),
        (1000, 3, 8, 100, 0),
        (3, 3, 8, 0, 3),
        (1000, 0, 4, 100, 0),
        (2001, 2001, 1, 201, 1800),  # rounded up
    ],
)
def test_the_reserve_is_a_part_of_the_limit_and_at_least_a_cold_start_but_never_stops_the_first_one(
    total: int, remaining: int, shards: int, reserve: int, spendable: int
) -> None:
    budget = start(total, remaining, shards=shards)
    assert (budget.reserve, budget.spendable) == (reserve, spendable)


def test_our_own_count_of_the_day_holds_where_discord_counts_less() -> None:
    # "Upon hitting this limit, all active sessions ... will be terminated, the bot token will be reset"
    # https://docs.discord.com/developers/events/gateway#identifying
    assert start(1000, 990, shards=4, spent=850).remaining == 150
    assert start(1000, 100, shards=4, spent=850).remaining == 100
    assert start(1000, 990, shards=4, spent=1200).remaining == 0


def test_starting_again_and_again_takes_nothing_more_out_of_the_reserve() -> None:
    budget = start(1000, 105, shards=8)
    while budget.spendable:
        budget = start(1000, budget.spent().remaining, shards=8)
    assert budget.remaining == 100


def test_what_the_operator_approves_is_taken_from_the_reserve_once() -> None:
    approved = Budget.of(1000, 105, 10_000.0 + DAY_S, fraction=0.1, shards=8, approved=8)
    assert (approved.reserve, approved.spendable) == (97, 8)
    budget = approved
    for _ in range(8):
        budget = budget.spent()
    again = budget.refilled(start(1000, 97, shards=8), now=10_500.0)
    assert (again.remaining, again.spendable) == (97, 0)
    assert Budget.of(1000, 5, 96_400.0, fraction=0.1, shards=8, approved=8).spendable == 5
    assert Budget.of(1000, 900, 96_400.0, fraction=0.1, shards=8, approved=8).reserve == 100


def test_asking_again_in_the_middle_of_a_cold_start_does_not_stop_it() -> None:
    budget = start(1000, 1000, shards=600)
    for _ in range(300):
        budget = budget.spent()
    assert budget.refilled(start(1000, 700, shards=600), now=10_500.0).spendable == 300


def test_before_the_first_answer_nothing_may_be_spent() -> None:
    assert UNKNOWN.spendable == 0
    assert UNKNOWN.refilled(start(1000, 1000, shards=8), now=10_500.0).spendable == 900


def test_the_reset_brings_the_whole_budget_back() -> None:
    budget = start(1000, 105, shards=8)
    fresh = Budget.of(1000, 1000, 10_000.0 + 2 * DAY_S, fraction=0.1, shards=8)
    assert budget.refilled(fresh, now=10_000.0 + DAY_S) == fresh


def test_a_reset_that_changed_nothing_keeps_what_the_operator_approved_and_no_more() -> None:
    # {"remaining": 8, "reset_after": 0} was seen: the reset is always now, and nothing comes back.
    approved = Budget.of(1000, 8, 10_000.0, fraction=0.1, shards=4, approved=4)
    assert approved.spendable == 4
    budget = approved.spent().spent().spent().spent()
    again = Budget.of(1000, 4, 10_005.0, fraction=0.1, shards=4, approved=4)
    assert again.spendable == 4
    assert budget.refilled(again, now=10_005.0).spendable == 0
