from __future__ import annotations

import pytest

from gwcluster.identify.retries import Retries, cap_for

NOW = 10_000.0


def failing(count: int, *, jitter: float = 1.0, spendable: int = 900) -> Retries:
    """Shards 0 to `count` - 1, each with two identifies in a row that bore nothing."""
    retries = Retries(jitter=lambda: jitter)
    for shard in range(count):
        retries.failed(shard, NOW, spendable)
        retries.failed(shard, NOW, spendable)
    retries.settle(range(count), NOW, spendable)
    return retries


def test_a_shard_that_never_failed_waits_for_nothing() -> None:
    assert Retries(jitter=lambda: 1.0).opens_at(0) == float("-inf")


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 1.0), (0.5, 3.0), (1.0, 5.0)])
def test_the_first_retry_comes_after_one_to_five_seconds(jitter: float, wait_s: float) -> None:
    # "wait a random amount of time—between 1 and 5 seconds—then send a fresh Opcode 2 Identify" was the
    # documented reaction to op 9: https://github.com/discord/discord-api-docs/issues/244
    retries = Retries(jitter=lambda: jitter)
    retries.failed(3, NOW, 900)
    assert retries.opens_at(3) == NOW + wait_s


def test_later_retries_wait_a_random_part_of_ten_twenty_forty_seconds_up_to_the_cap() -> None:
    retries, waits = Retries(jitter=lambda: 1.0), []
    for _ in range(8):
        retries.failed(3, NOW, 900)
        waits.append(retries.opens_at(3) - NOW)
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 192.0, 192.0]  # 2 * 86,400 * 1 / 900


@pytest.mark.parametrize(
    ("shards", "spendable", "cap_s"),
    [(1, 900, 192.0), (1, 10_000, 60.0), (4, 900, 768.0), (16, 900, 3072.0), (1, 0, float("inf"))],
)
def test_the_cap_is_twice_a_day_for_each_failing_shard_by_what_is_left_and_at_least_a_minute(
    shards: int, spendable: int, cap_s: float
) -> None:
    assert cap_for(shards, spendable) == cap_s


def test_shards_for_which_the_budget_suffices_retry_each_for_itself() -> None:
    retries = failing(4)
    assert retries.probing is None
    retries.granted(0, NOW + 10.0)
    assert retries.opens_at(1) == NOW + 10.0


def test_above_a_cap_of_fifteen_minutes_one_shard_tries_for_all_every_five_minutes() -> None:
    retries = failing(5)
    assert retries.probing == 5
    retries.granted(0, NOW + 10.0)
    assert [retries.opens_at(shard) for shard in range(5)] == [NOW + 310.0] * 5
    assert retries.opens_at(9) == float("-inf")  # it hasn't failed


def test_a_probe_that_lasts_lets_all_begin_anew() -> None:
    retries = failing(5)
    retries.granted(0, NOW + 10.0)
    retries.lasted(0)
    retries.settle([1, 2, 3, 4], NOW + 80.0, 900)
    assert retries.probing is None
    assert [retries.opens_at(shard) for shard in range(5)] == [float("-inf"), *[NOW + 10.0] * 4]


def test_shards_that_were_given_up_slow_nobody_down() -> None:
    retries = failing(5)
    retries.settle([4], NOW + 900.0, 900)
    assert retries.probing is None
