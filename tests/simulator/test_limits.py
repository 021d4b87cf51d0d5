import pytest

from gwsimulator.limits import BucketOrder, DailyLimit, IdentifyWindows, SlidingLimit

DAY_S = 86_400.0


def test_keys_are_shard_modulo_concurrency_of_the_real_shard_ids() -> None:
    windows = IdentifyWindows(16, 5.0)
    windows.attempted(0, 10_000.0)
    assert windows.since_last(1, 10_000.0) is None
    assert windows.since_last(16, 10_001.0) == 1.0
    assert windows.since_last(32, 10_005.0) is None


@pytest.mark.parametrize(("origin", "opened_at"), [("attempt", 10_001.0), ("accept", 10_000.0)])
def test_a_refused_attempt_moves_the_window_or_does_not(origin: str, opened_at: float) -> None:
    windows = IdentifyWindows(1, 5.0, origin)  # type: ignore[arg-type]
    windows.attempted(0, 10_000.0)
    windows.accepted(0, 10_000.0)
    windows.attempted(1, 10_001.0)
    assert windows.since_last(2, 10_002.0) == 10_002.0 - opened_at


@pytest.mark.parametrize(("origin", "seconds"), [("accept", None), ("ready", 1.0)])
def test_a_late_ready_moves_the_window_or_does_not(origin: str, seconds: float | None) -> None:
    windows = IdentifyWindows(1, 5.0, origin)  # type: ignore[arg-type]
    windows.accepted(0, 10_000.0)
    assert windows.since_last(1, 10_004.0) == 4.0
    windows.greeted(0, 10_010.0)
    assert windows.since_last(1, 10_011.0) == seconds


def test_a_bucket_starts_when_every_shard_before_it_has_identified() -> None:
    order = BucketOrder(2)
    assert [order.start(shard, 6) for shard in (1, 2, 0, 3, 5, 2, 4)] == [
        True,
        False,  # 0 is missing
        True,
        True,
        False,  # 2 is missing
        True,
        True,
    ]


def test_a_shard_that_identifies_again_waits_for_nobody_and_counts_differ_by_shard_count() -> None:
    order = BucketOrder(1)
    assert order.start(0, 3)
    assert order.start(1, 3)
    assert order.start(1, 3)
    assert not order.start(1, 4)


def test_the_day_begins_with_its_first_identify() -> None:
    daily = DailyLimit(2)
    assert daily.reset_after_ms(10_000.0) == 0
    assert daily.spend(10_000.0)
    assert daily.spend(20_000.0)
    assert not daily.spend(30_000.0)
    assert daily.remaining(30_000.0) == 0
    assert daily.reset_after_ms(30_000.0) == 66_400_000
    assert daily.remaining(10_000.0 + DAY_S) == 2


def test_a_day_that_slides_gives_back_each_identify_after_24_h() -> None:
    daily = DailyLimit(2, sliding=True)
    daily.spend(10_000.0)
    daily.spend(20_000.0)
    assert daily.reset_after_ms(30_000.0) == 66_400_000
    assert daily.remaining(10_000.0 + DAY_S) == 1
    assert daily.reset_after_ms(10_000.0 + DAY_S) == 10_000_000
    assert daily.remaining(20_000.0 + DAY_S) == 2


@pytest.mark.parametrize("sliding", [False, True])
def test_identifies_of_before_the_start_count(sliding: bool) -> None:
    daily = DailyLimit(10, 8, sliding)
    assert daily.remaining(10_000.0) == 2
    assert daily.reset_after_ms(10_000.0) == 86_400_000
    daily.spend(10_000.0)
    assert daily.remaining(10_000.0 + DAY_S) == 10


def test_a_send_is_forgotten_after_its_window() -> None:
    limit = SlidingLimit(2, 60.0)
    assert [limit.take(10_000.0 + at) for at in (0, 1, 59.9, 61, 200)] == [True, True, False, True, True]


def test_what_is_left_and_when_the_next_is_back() -> None:
    limit = SlidingLimit(2, 60.0)
    assert (limit.left(10_000.0), limit.free_after_s(10_000.0)) == (2, 0.0)
    limit.take(10_000.0)
    assert (limit.left(10_010.0), limit.free_after_s(10_010.0)) == (1, 50.0)
