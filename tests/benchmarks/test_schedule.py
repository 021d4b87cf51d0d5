"""Each shard gets its events at its own beat, and none in step with another."""

from __future__ import annotations

import itertools
import random

import pytest

from bench.schedule import Pace, Schedule


def played(schedule: Schedule, step: float, start: float = 10_000.0) -> list[tuple[float, int, int]]:
    turns, now = [], start
    while schedule:
        turns += schedule.take(now)
        now += step
        assert now < start + 100
    return turns


def test_every_shard_gets_all_its_events() -> None:
    turns = played(Schedule(range(3), Pace(count=25, rate=50.0, burst=4), 10_000.0, random.Random(1)), 0.01)
    for shard in range(3):
        assert [events for _, one, events in turns if one == shard] == [4, 4, 4, 4, 4, 4, 1]


def test_a_shards_bursts_keep_its_beat_however_late_they_are_asked_for() -> None:
    turns = played(Schedule([7], Pace(count=10, rate=20.0), 10_000.0, random.Random(1)), 0.33)
    times = [at for at, _, _ in turns]
    assert [later - sooner for sooner, later in itertools.pairwise(times)] == pytest.approx([0.05] * 9)


def test_no_two_of_64_shards_are_in_step() -> None:
    first = Schedule(range(64), Pace(count=1, rate=20.0), 10_000.0, random.Random(1)).take(10_001.0)
    phases = [at - 10_000.0 for at, _, _ in first]
    assert len(set(phases)) == 64
    assert 0 <= min(phases) < 0.005
    assert 0.045 < max(phases) < 0.05


def test_nothing_is_due_before_its_time() -> None:
    schedule = Schedule([0], Pace(count=2, rate=1.0), 10_000.0, random.Random(1))
    assert schedule.take(9_999.0) == []
    assert schedule.due is not None
    assert schedule.due >= 10_000.0


def test_without_a_rate_all_is_due_at_once() -> None:
    assert Schedule([3], Pace(count=2_500, rate=0.0), 10_000.0, random.Random(1)).take(10_000.0) == [
        (10_000.0, 3, 2_500)
    ]
