from __future__ import annotations

from gwcluster.backoff import Backoff


def test_the_ceiling_doubles_from_one_second_to_sixty() -> None:
    backoff = Backoff(jitter=lambda: 1.0)
    assert [backoff.next() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_the_least_delay_is_half_of_the_ceiling() -> None:
    backoff = Backoff(jitter=lambda: 0.0)
    assert [backoff.next() for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_reset_begins_anew() -> None:
    backoff = Backoff(base_s=5.0, cap_s=12.0, jitter=lambda: 1.0)
    assert [backoff.next() for _ in range(3)] == [5.0, 10.0, 12.0]
    backoff.reset()
    assert backoff.next() == 5.0
