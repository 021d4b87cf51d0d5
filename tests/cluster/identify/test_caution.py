from __future__ import annotations

from gwcluster.identify.caution import Caution, Past

NOW = 10_000.0


def refused(shard: int, at: float) -> Past:
    return Past(shard, at, at, None, at + 1.0)


def ready(shard: int, at: float) -> Past:
    return Past(shard, at, at, at + 1.0, None)


def after(*past: Past, total: int = 1000) -> Caution:
    caution = Caution(total=total, jitter=lambda: 1.0)
    caution.remember(past, 900)
    return caution


def test_a_coordinator_that_starts_again_is_as_slow_as_the_one_before() -> None:
    before = Caution(total=1000, jitter=lambda: 1.0)
    for at in (NOW, NOW + 10.0):
        before.granted(0, at)
        before.sent(0, at)
        before.again(0, at + 1.0, 900)
    again = after(refused(0, NOW), refused(0, NOW + 10.0))
    assert again.opens_at(0) == before.opens_at(0) == NOW + 21.0


def test_an_open_breaker_stays_open_over_a_restart_and_its_probe_too() -> None:
    burnt = [refused(0, NOW + 30.0 * n) for n in range(10)]
    assert after(*burnt, total=40).breaker.probe_at == NOW + 271.0 + 300.0
    probed = after(*burnt, refused(0, NOW + 600.0), total=40)
    assert probed.breaker.probe_at == NOW + 900.0
    assert not probed.allows(NOW + 899.0)


def test_a_restart_within_a_minute_of_ready_did_not_make_the_identify_worth_it() -> None:
    caution = after(ready(0, NOW), ready(0, NOW + 30.0))
    assert caution.breaker.fruitless == 1


def test_sessions_that_lasted_before_the_restart_count_for_nothing() -> None:
    caution = after(ready(0, NOW), ready(0, NOW + 500.0), ready(0, NOW + 5_000.0))
    assert caution.breaker.fruitless == 0
    assert caution.opens_at(0) == float("-inf")


def test_what_became_of_an_identify_at_a_crash_is_judged_by_whether_the_shard_comes_again() -> None:
    caution = after(Past(0, NOW, NOW + 20.0, None, None))
    assert caution.breaker.fruitless == 0
    caution.again(0, NOW + 90.0, 900)
    assert caution.breaker.fruitless == 1
