from __future__ import annotations

from gwcluster.identify.breaker import Breaker


def burnt(count: int, *, total: int = 100, now: float = 10_000.0) -> Breaker:
    breaker = Breaker(total=total)
    for _ in range(count):
        breaker.sent(0, now)
        assert breaker.again(0, now)
        assert not breaker.again(0, now)
    return breaker


def test_a_fifth_of_the_daily_limit_for_nothing_opens_it() -> None:
    assert burnt(19).probe_at is None
    assert burnt(20).probe_at == 10_300.0
    assert burnt(199, total=1000).probe_at is None
    assert burnt(200, total=1000).probe_at == 10_300.0
    assert burnt(9, total=4).probe_at is None


def test_while_open_one_try_goes_through_every_five_minutes() -> None:
    breaker = burnt(20)
    assert not breaker.allows(10_299.0)
    assert breaker.allows(10_300.0)
    breaker.granted(10_300.0)
    assert not breaker.allows(10_599.0)
    assert breaker.allows(10_600.0)


def test_identifies_that_are_not_answered_yet_open_nothing() -> None:
    breaker = Breaker(total=100)
    for shard in range(500):
        breaker.sent(shard, 10_000.0)
    breaker.settle(10_500.0)
    assert breaker.probe_at is None


def test_sessions_that_lasted_a_minute_count_for_nothing_and_shorter_ones_do() -> None:
    for lasted_s, opens in [(60.0, False), (59.9, True)]:
        breaker, now = Breaker(total=100), 10_000.0
        for _ in range(20):
            breaker.sent(0, now)
            breaker.ready(0, now)
            now += lasted_s
            breaker.settle(now)
            breaker.again(0, now)
        assert (breaker.probe_at is not None) is opens


def test_the_time_that_a_shard_waits_to_dial_again_is_no_part_of_what_its_session_lasted() -> None:
    for resumes, opens in [(False, True), (True, False)]:
        breaker, now = Breaker(total=100), 10_000.0
        for _ in range(20):
            breaker.sent(0, now)
            breaker.ready(0, now)
            breaker.left(0)
            now += 100.0  # between dials
            if resumes:
                breaker.ready(0, now)
            breaker.settle(now + 60.0)
            now += 60.0
            breaker.again(0, now)
        assert (breaker.probe_at is not None) is opens


def test_the_first_try_that_lasts_a_minute_closes_it() -> None:
    breaker = burnt(20)
    breaker.granted(10_300.0)
    breaker.sent(0, 10_300.0)
    breaker.ready(0, 10_302.0)
    assert breaker.due == 10_362.0
    breaker.settle(10_361.0)
    assert not breaker.allows(10_361.0)
    breaker.settle(10_362.0)
    assert breaker.due is None
    assert breaker.allows(10_362.0)
    breaker.sent(1, 10_363.0)
    breaker.again(1, 10_363.0)
    assert breaker.probe_at is None  # counted anew


def test_a_session_from_before_does_not_close_it() -> None:
    breaker = Breaker(total=100)
    breaker.sent(7, 9_990.0)
    breaker.ready(7, 9_991.0)
    for _ in range(20):
        breaker.sent(0, 10_000.0)
        breaker.again(0, 10_000.0)
    breaker.settle(10_100.0)
    assert breaker.probe_at == 10_300.0


def test_what_was_burnt_a_day_ago_is_forgotten() -> None:
    breaker = burnt(19)
    breaker.settle(96_400.0)
    breaker.sent(0, 96_400.0)
    breaker.again(0, 96_400.0)
    assert breaker.probe_at is None
