from __future__ import annotations

import pytest

from gwworker.clocks import Clocks
from gwworker.events import Doubted, Slept


class Machine:
    """Three clocks that go together until something happens."""

    def __init__(self) -> None:
        self.monotonic, self.boot, self.wall = 10_000.0, 20_000.0, 1_790_000_000.0
        self.clocks = Clocks(monotonic=lambda: self.monotonic, boot=lambda: self.boot, wall=lambda: self.wall)

    def passes(self, seconds: float, *, asleep: float = 0.0, set_by: float = 0.0) -> Slept | Doubted | None:
        self.monotonic += seconds
        self.boot += seconds + asleep
        self.wall += seconds + asleep + set_by
        return self.clocks.look()


def test_time_that_passes_is_nothing_special_however_late_we_look() -> None:
    machine = Machine()
    assert machine.passes(1.0) is None
    assert machine.passes(3600.0) is None, "a stall of this process is no sleep of the machine"


def test_a_suspended_machine_is_noticed_once_with_the_time_that_it_slept() -> None:
    machine = Machine()
    assert machine.passes(1.0, asleep=1200.0) == Slept(1200.0)
    assert machine.passes(1.0) is None


@pytest.mark.parametrize(("set_by", "said"), [(3600.0, "+3600 s"), (-3600.0, "-3600 s")])
def test_a_clock_that_was_set_is_only_a_reason_to_look(set_by: float, said: str) -> None:
    machine = Machine()
    assert machine.passes(1.0, set_by=set_by) == Doubted(f"the time of day jumped by {said}")
    assert machine.passes(1.0) is None


@pytest.mark.parametrize("seconds", [4.9, -4.9])
def test_small_corrections_are_not_worth_a_word(seconds: float) -> None:
    assert Machine().passes(1.0, set_by=seconds) is None


@pytest.mark.parametrize(("asleep", "noticed"), [(4.9, None), (5.1, Slept(5.1))])
def test_more_than_five_seconds_of_sleep_are_worth_a_word(asleep: float, noticed: Slept | None) -> None:
    machine = Machine()
    machine.monotonic, machine.boot = 0.0, 0.0  # so that nothing is rounded
    machine.clocks.look()
    assert machine.passes(0.0, asleep=asleep) == noticed


def test_a_clock_that_drifts_slowly_is_never_a_surprise() -> None:
    machine = Machine()
    assert [machine.passes(1.0, set_by=0.5) for _ in range(100)] == [None] * 100
