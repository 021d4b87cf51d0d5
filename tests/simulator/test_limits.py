from gwsimulator.limits import DailyLimit, IdentifyWindows, SendLimit


def test_keys_are_shard_modulo_concurrency_of_the_real_shard_ids() -> None:
    windows = IdentifyWindows(16, 5.0)
    assert windows.attempt(0, 10_000.0) is None
    assert windows.attempt(1, 10_000.0) is None
    assert windows.attempt(16, 10_001.0) == 1.0
    assert windows.attempt(32, 10_006.0) is None


def test_a_refused_attempt_also_moves_the_window() -> None:
    windows = IdentifyWindows(1, 5.0)
    windows.attempt(0, 10_000.0)
    windows.attempt(1, 10_004.0)
    assert windows.attempt(2, 10_006.0) == 2.0


def test_the_day_begins_with_its_first_identify() -> None:
    daily = DailyLimit(2)
    assert daily.reset_after_ms(10_000.0) == 0
    assert daily.spend(10_000.0)
    assert daily.spend(20_000.0)
    assert not daily.spend(30_000.0)
    assert daily.remaining(30_000.0) == 0
    assert daily.reset_after_ms(30_000.0) == 66_400_000
    assert daily.remaining(10_000.0 + 86_400.0) == 2


def test_identifies_of_before_the_start_count() -> None:
    assert DailyLimit(10, used=8).remaining(10_000.0) == 2


def test_a_send_is_forgotten_after_its_window() -> None:
    limit = SendLimit(2, 60.0)
    assert [limit.take(10_000.0 + at) for at in (0, 1, 59.9, 61, 200)] == [True, True, False, True, True]
