from __future__ import annotations

from itertools import pairwise

import pytest

from gwcluster.supervise.conditions import Watch
from gwcluster.wire.control import Conditions
from gwcluster.wire.notices import ShardState

NOW = 10_000.0
NEVER = float("-inf")
HOST = "wss://gateway-us-east1-c.discord.gg"


def test_a_watch_that_heard_nothing_knows_nothing() -> None:
    assert Watch().now_known(NOW) == Conditions({}, NEVER, NEVER)


def test_a_bad_host_is_known_for_ten_minutes_and_news_once() -> None:
    watch = Watch()
    assert watch.host_failed(HOST, NOW)
    assert not watch.host_failed(HOST, NOW + 1.0)
    assert watch.now_known(NOW + 600.0).bad_hosts == {HOST: NOW + 601.0}
    assert watch.now_known(NOW + 601.0).bad_hosts == {}
    assert watch.host_failed(HOST, NOW + 602.0)


def test_of_many_bad_hosts_the_oldest_is_forgotten() -> None:
    watch = Watch()
    for number in range(65):
        watch.host_failed(f"wss://{number}.discord.gg", NOW + number)
    known = watch.now_known(NOW + 65.0).bad_hosts
    assert len(known) == 64
    assert "wss://0.discord.gg" not in known


def test_five_shards_sent_away_within_five_seconds_are_a_storm_that_is_told_once() -> None:
    watch = Watch()
    said = [watch.sent_away(shard, NOW + 0.1 * shard) for shard in range(8)]
    assert said == [False, False, False, False, True, False, False, False]
    assert watch.now_known(NOW + 1.0).storm_until > NOW + 5.0


def test_a_storm_that_goes_on_is_told_again_before_it_would_be_over() -> None:
    watch = Watch()
    told_at = [0.1 * shard for shard in range(100) if watch.sent_away(shard, NOW + 0.1 * shard)]
    assert len(told_at) >= 3
    assert all(later - earlier < 5.0 for earlier, later in pairwise(told_at))


def test_one_shard_that_is_sent_away_again_and_again_is_no_storm() -> None:
    watch = Watch()
    assert not any(watch.sent_away(3, NOW + 0.1 * number) for number in range(50))


def test_shards_sent_away_one_after_another_are_no_storm() -> None:
    watch = Watch()
    assert not any(watch.sent_away(shard, NOW + 1.5 * shard) for shard in range(50))


def test_ready_is_news_at_most_every_ten_seconds_but_known_at_once() -> None:
    watch = Watch()
    assert [watch.ready(NOW + second) for second in (0.0, 5.0, 9.9, 10.0)] == [True, False, False, True]
    watch.ready(NOW + 12.0)
    assert watch.now_known(NOW + 12.0).ready_at == NOW + 12.0


def test_a_ready_that_was_no_news_at_its_time_is_told_once_ten_seconds_have_passed() -> None:
    watch = Watch()
    assert not watch.owed(NOW)
    watch.ready(NOW)
    assert not watch.owed(NOW + 60.0), "it was told"
    watch.ready(NOW + 61.0)
    watch.ready(NOW + 65.0)
    assert [watch.owed(NOW + second) for second in (65.0, 70.9, 71.0, 71.1, 99.0)] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_shard_that_does_not_connect_for_two_minutes_is_stranded() -> None:
    watch = Watch()
    watch.seen(3, ShardState.BACKOFF, NOW)
    watch.seen(3, ShardState.CONNECTING, NOW + 60.0)
    watch.seen(3, ShardState.BACKOFF, NOW + 75.0)
    assert not watch.stranded(NOW + 119.9)
    assert watch.stranded(NOW + 120.0)


@pytest.mark.parametrize("state", sorted(set(ShardState) - {ShardState.BACKOFF, ShardState.CONNECTING}))
def test_one_that_got_any_further_meanwhile_is_not(state: ShardState) -> None:
    watch = Watch()
    watch.seen(3, ShardState.CONNECTING, NOW)
    watch.seen(3, state, NOW + 100.0)
    assert not watch.stranded(NOW + 1000.0)
    watch.seen(3, ShardState.CONNECTING, NOW + 1000.0)
    assert not watch.stranded(NOW + 1119.9)


def test_where_the_gateway_is_now_is_known_to_all() -> None:
    watch = Watch()
    watch.gateway_url = HOST
    assert watch.now_known(NOW).gateway_url == HOST
