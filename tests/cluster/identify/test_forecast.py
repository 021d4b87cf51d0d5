from __future__ import annotations

from gwcluster.identify.forecast import Place, forecast


def test_keys_go_in_parallel_and_buckets_one_after_the_other() -> None:
    queue = [Place(0, 0, 0), Place(1, 1, 0), Place(2, 0, 1), Place(3, 1, 1)]
    at = forecast(
        queue,
        opens_at=lambda key: 10_002.0 if key else 9_000.0,
        pace_s=5.0,
        now=10_000.0,
        spendable=99,
        reset_at=1e9,
    )
    assert at == {0: 10_000.0, 1: 10_002.0, 2: 10_005.0, 3: 10_007.0}


def test_a_shard_that_comes_again_waits_for_its_key_alone() -> None:
    queue = [Place(0, 0, 0), Place(2, 0, 1), Place(5, 1, None)]
    at = forecast(queue, opens_at=lambda key: 9_000.0, pace_s=5.0, now=10_000.0, spendable=99, reset_at=1e9)
    assert at == {0: 10_000.0, 5: 10_000.0, 2: 10_005.0}
    assert list(at) == [0, 5, 2]


def test_those_for_whom_the_budget_does_not_suffice_wait_for_the_reset() -> None:
    queue = [Place(0, 0, None), Place(1, 0, None), Place(2, 0, None)]
    at = forecast(
        queue, opens_at=lambda key: 9_000.0, pace_s=5.0, now=10_000.0, spendable=2, reset_at=10_600.0
    )
    assert at == {0: 10_000.0, 1: 10_005.0, 2: 10_600.0}
