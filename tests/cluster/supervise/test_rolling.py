from __future__ import annotations

from gwcluster.supervise.rolling import Look, Rolled, Rolling


class Rig:
    """Shards whose workers are replaced when a test says so."""

    def __init__(self, *shards: int) -> None:
        self.rolling = Rolling(shards)
        self.old, self.live = set(shards), set(shards)
        self.failed: dict[int, str] = {}
        self.away: set[int] = set()
        self.replaced: list[int] = []

    def step(self, now: float = 10_000.0) -> str | None:
        look = Look(self.old, self.live, self.failed, self.away)
        return self.rolling.step(look, now, self.replaced.append)

    def comes_back(self, shard: int) -> None:
        self.old.discard(shard)
        self.live.add(shard)


def test_the_next_shard_has_its_turn_when_the_one_before_is_live_again() -> None:
    rig = Rig(3, 4)
    assert rig.step() is None
    assert rig.replaced == [3]
    rig.step()  # still live by its old worker
    rig.old.discard(3)
    rig.live.discard(3)
    rig.step()
    assert (rig.replaced, rig.rolling.done, rig.rolling.proven) == ([3], 0, False)
    rig.live.add(3)
    rig.step()
    assert (rig.replaced, rig.rolling.done, rig.rolling.proven) == ([3, 4], 1, True)
    rig.comes_back(4)
    rig.step()
    assert (rig.rolling.done, rig.rolling.total, rig.rolling.finished, rig.rolling.due) == (2, 2, True, None)


def test_a_shard_that_is_not_back_within_thirty_seconds_ends_it() -> None:
    rig = Rig(3, 4)
    rig.step(10_000.0)
    rig.old.discard(3)
    rig.live.discard(3)
    assert rig.rolling.due == 10_030.0
    assert rig.step(10_029.9) is None
    assert rig.step(10_030.0) == "shard 3 was not live again within 30 s"
    assert (rig.replaced, rig.rolling.done, rig.rolling.proven) == ([3], 0, False)


def test_a_worker_that_does_not_stop_ends_it_too() -> None:
    rig = Rig(3)
    rig.step(10_000.0)
    assert rig.step(10_030.0) == "shard 3 was not live again within 30 s"


def test_a_shard_that_fails_ends_it_at_once_with_the_reason() -> None:
    rig = Rig(3, 4)
    rig.step()
    rig.failed[3] = "died 6 times within 60 s"
    assert rig.step() == "shard 3 failed: died 6 times within 60 s"


def test_a_shard_that_was_not_live_is_not_waited_for_and_proves_nothing() -> None:
    rig = Rig(3, 4)
    rig.live.clear()
    rig.step()
    rig.step()
    assert rig.replaced == [3]
    rig.old.discard(3)
    rig.step()
    assert (rig.replaced, rig.rolling.proven) == ([3, 4], False)


def test_who_died_meanwhile_has_a_new_worker_already() -> None:
    rig = Rig(3, 4, 5)
    rig.old.discard(4)
    rig.step()
    rig.comes_back(3)
    rig.step()
    assert rig.replaced == [3, 5]


def test_nobody_to_replace_is_an_end_as_well() -> None:
    rig = Rig()
    assert rig.step() is None
    assert rig.rolling.finished


def test_one_that_goes_on_has_no_end_to_tell_of() -> None:
    assert Rolled(1, 2).document() == {"done": 1, "total": 2}
    assert Rolled(2, 2, None, 5.0).document() == {"done": 2, "total": 2, "why": None, "at": 5.0}


def test_a_shard_that_another_host_is_to_run_meanwhile_is_left_out() -> None:
    rig = Rig(3, 4, 5)
    rig.step()
    rig.away = {3, 4}
    rig.live -= {3, 4}
    assert rig.step(10_000.1) is None
    assert (rig.replaced, rig.rolling.done) == ([3, 5], 2)
