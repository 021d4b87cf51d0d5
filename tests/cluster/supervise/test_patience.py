from __future__ import annotations

from gwcluster.supervise.patience import Patience


def make(restarts: int = 100) -> Patience:
    return Patience(restarts=restarts, within_s=60.0, jitter=lambda: 1.0)


def test_what_was_never_well_waits_one_two_four_up_to_sixty_seconds() -> None:
    patience = make()
    assert [patience.death(10_000.0, well_s=None) for _ in range(7)] == [1, 2, 4, 8, 16, 32, 60]


def test_what_was_well_starts_at_once_but_only_the_first_time() -> None:
    patience = make()
    assert [patience.death(10_000.0, well_s=59.0) for _ in range(4)] == [0, 1, 2, 4]


def test_a_minute_of_health_is_a_clean_slate_and_less_is_not() -> None:
    patience = make()
    for _ in range(5):
        patience.death(10_000.0, well_s=None)
    assert patience.death(10_100.0, well_s=59.9) == 32
    assert patience.death(10_200.0, well_s=60.0) == 0
    assert patience.death(10_300.0, well_s=None) == 1


def test_one_death_more_than_the_bound_within_its_time_is_too_many() -> None:
    patience = make(restarts=2)
    assert patience.death(10_000.0, well_s=None) is not None
    assert patience.death(10_030.0, well_s=None) is not None
    assert patience.death(10_060.0, well_s=None) is not None  # the first is 60 s old by now
    assert patience.death(10_061.0, well_s=None) is None
    assert patience.recent == "3 times within 60 s"
    assert patience.died == 4


def test_an_operator_forgives_all() -> None:
    patience = make(restarts=1)
    patience.death(10_000.0, well_s=None)
    assert patience.death(10_001.0, well_s=None) is None
    patience.forgive()
    assert patience.death(10_002.0, well_s=None) == 1
