from __future__ import annotations

import pytest

from gwcluster.identify.budget import Budget
from gwcluster.identify.start import (
    Start,
    StartError,
    advice,
    check_recommendation,
    ranges,
    refusal,
    shard_ids,
    shortage,
    told,
)


def start(shards: int, *, resumable: frozenset[int] = frozenset(), given_up: int = 0) -> Start:
    return Start(shards, tuple(range(shards)), resumable, given_up)


def budget(remaining: int, reserve: int = 100) -> Budget:
    return Budget(1000, remaining, 96_400.0, reserve)


@pytest.mark.parametrize(
    ("ids", "max_concurrency", "least_s"),
    [
        (range(64), 1, 315.0),  # (ceil(64 / 1) - 1) * 5 s
        (range(64), 16, 15.0),
        (range(17), 16, 5.0),
        ([0, 16, 32], 16, 10.0),  # three of one key
        ([0, 1, 2], 16, 0.0),
        ([], 1, 0.0),
    ],
)
def test_a_start_takes_five_seconds_for_each_further_shard_of_the_fullest_key(
    ids: list[int], max_concurrency: int, least_s: float
) -> None:
    assert Start(64, tuple(ids)).least_s(max_concurrency) == least_s


def test_what_can_resume_costs_neither_an_identify_nor_time() -> None:
    some = start(64, resumable=frozenset(range(62)))
    assert some.identifying == (62, 63)
    assert some.least_s(1) == 5.0
    assert told(some, 1) == "running 64 of 64 shards: 62 resume, 2 identify, which takes at least 5 s"
    assert shortage(some, budget(102), "now") is None


def test_the_ids_are_all_or_those_wanted_in_order() -> None:
    assert shard_ids(None, 4) == (0, 1, 2, 3)
    assert shard_ids([3, 1], 4) == (1, 3)
    with pytest.raises(
        StartError, match=r"names shard 4, but Discord recommends 4 shards; write ids from 0 to 3"
    ):
        shard_ids([0, 4], 4)


def test_more_than_ten_times_the_shards_of_last_time_needs_the_operators_word() -> None:
    check_recommendation(160, 16)
    check_recommendation(1, 16)
    check_recommendation(100_000, None)
    with pytest.raises(StartError) as raised:
        check_recommendation(161, 16)
    with pytest.raises(StartError, match=r"recommends 100001 shards, and gwcluster runs 100000 at most"):
        check_recommendation(100_001, None)
    for part in ("recommends 161 shards", "the last time it was 16", "shards.count: 161", "shards.count: 16"):
        assert part in str(raised.value)


def test_a_budget_that_is_short_is_told_with_all_its_numbers() -> None:
    assert shortage(start(20), budget(120), "Discord's reset at 03:12") is None
    assert shortage(start(32), budget(120), "Discord's reset at 03:12") == (
        "32 of 32 shards need an IDENTIFY, and 20 may be spent: 120 of 1000 a day are left, "
        "100 of them kept in reserve, until Discord's reset at 03:12"
    )


def test_a_start_begins_with_what_there_is_unless_that_would_cost_sessions_that_live() -> None:
    assert refusal(start(32), "lack", fresh=False) is None
    reshard = refusal(start(32, given_up=16), "lack", fresh=False)
    assert reshard is not None
    assert "16 sessions can still be resumed" in reshard
    assert "--use-reserve" in reshard
    fresh = refusal(start(32), "lack", fresh=True)
    assert fresh is not None
    assert "No session was given up" in fresh


def test_an_invalid_shard_is_told_the_count_that_is_valid() -> None:
    # "If you attempt to start your bot with an invalid number of shards, your Gateway connection will close
    # with a 4010": https://docs.discord.com/developers/events/gateway#sharding-for-large-bots
    text = advice(4010, 71, 80)
    assert "shards.count is 71 and Discord recommends 80" in text
    assert "multiple" in text
    assert advice(4010, 80, 80) == advice(4010, 71, None) == advice(4013, 71, 80) == ""


def test_shards_with_too_many_guilds_are_told_the_count_that_is_enough() -> None:
    # "Each shard can only support a maximum of 2500 guilds"
    # https://docs.discord.com/developers/events/gateway#sharding
    assert "shards.count is 71 and Discord recommends 80" in advice(4011, 71, 80)
    assert advice(4011, 80, 80) == advice(4011, 71, None) == ""


def test_ids_are_written_as_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([7, 0, 1, 3, 2]) == "0-3, 7"
    assert ranges([5]) == "5"
