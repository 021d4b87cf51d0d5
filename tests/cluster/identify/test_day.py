"""Whole days of trouble on virtual time: the day's limit less the reserve is never passed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from gwcluster.identify.gate import UNKNOWN, Budget, Gate, Past

DAY_S = 86_400.0
START = 10_000.0

Fate = Callable[[float], float | None]
"""From the moment of an IDENTIFY: seconds that its session is ready, None when op 9 answers it."""


@dataclass
class Day:
    """A cluster in trouble, an ideal worker per shard, and what survives its coordinator's crashes.

    A worker asks, identifies at once, is refused or ready after a second, and asks again when its session is
    over: two seconds later, as its RESUME is refused, too.
    """

    shards: int
    fate: Fate
    max_concurrency: int = 1
    total: int = 1000
    crash_every_s: float = DAY_S * 2
    now: float = START
    past: list[Past] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(7))

    @property
    def sent(self) -> list[float]:
        return [one.sent_at for one in self.past]

    def run(self) -> Day:
        while self.now < START + DAY_S:
            self._coordinator(until=min(self.now + self.crash_every_s, START + DAY_S))
        return self

    def _coordinator(self, until: float) -> None:
        gate = Gate(max_concurrency=1, budget=UNKNOWN, jitter=self.dice.random)
        limits = Budget.of(
            self.total,
            self.total - len(self.past),
            START + DAY_S,
            fraction=0.1,
            shards=self.shards,
            spent=len(self.past),
        )
        gate.refill(limits, self.now, max_concurrency=self.max_concurrency)
        gate.restore({one.shard % self.max_concurrency: one.sent_at for one in self.past})
        gate.remember(self.past)
        events: list[tuple[float, str, int]] = [
            (self.now + 0.5, "ask", shard) for shard in range(self.shards)
        ]
        while True:
            due = [at for at in (gate.due, *(at for at, _, _ in events)) if at is not None]
            self.now = max(self.now, min(due, default=until))
            if self.now >= until:
                self.now = until
                return
            for event in sorted(event for event in events if event[0] <= self.now):
                events.remove(event)
                self._happens(gate, *event[1:], events)
            for grant in gate.step(self.now):
                self._identify(gate, grant.shard, events)
            if gate.blocked is not None and gate.blocked not in self.said:
                self.said.append(gate.blocked)

    def _identify(self, gate: Gate, shard: int, events: list[tuple[float, str, int]]) -> None:
        gate.used(shard, self.now, self.now)
        self.past.append(Past(shard, self.now, self.now, None, None))
        events.append((self.now + 1.0, "refused" if self.fate(self.now) is None else "ready", shard))

    def _happens(self, gate: Gate, what: str, shard: int, events: list[tuple[float, str, int]]) -> None:
        match what:
            case "ask":
                gate.ask(shard, self.now)
            case "refused":
                gate.refused(shard, self.now)
                self._note(shard, None, self.now)
                events.append((self.now + self.dice.uniform(1.0, 5.0), "ask", shard))
            case "ready":
                gate.succeeded(shard, self.now)
                self._note(shard, self.now, None)
                lasts_s = self.fate(self.now)
                if lasts_s is not None:
                    events.append((self.now + lasts_s + 2.0, "ask", shard))

    def _note(self, shard: int, ready_at: float | None, refused_at: float | None) -> None:
        (last,) = [n for n, one in enumerate(self.past) if one.shard == shard][-1:]
        self.past[last] = replace(self.past[last], ready_at=ready_at, refused_at=refused_at)


def never(at: float) -> float | None:
    """Op 9 answers every IDENTIFY."""
    return None


def two_seconds(at: float) -> float | None:
    """READY, and the session is gone two seconds later."""
    return 2.0


def until_the_sixth_hour(at: float) -> float | None:
    """Discord is in trouble for six hours."""
    return None if at < START + 6 * 3600 else DAY_S


@pytest.mark.parametrize(
    ("fate", "shards", "max_concurrency", "crash_every_s"),
    [
        (never, 1, 1, 60.0),
        (never, 16, 16, 60.0),
        (two_seconds, 16, 16, 120.0),
        (two_seconds, 16, 1, 600.0),
        (never, 64, 16, 2 * DAY_S),
        (two_seconds, 64, 16, 2 * DAY_S),
        (two_seconds, 1, 1, 2 * DAY_S),
    ],
)
def test_a_day_in_which_no_session_lasts_stays_within_the_limit_less_the_reserve(
    fate: Fate, shards: int, max_concurrency: int, crash_every_s: float
) -> None:
    day = Day(shards, fate, max_concurrency=max_concurrency, crash_every_s=crash_every_s).run()
    assert shards < len(day.sent) <= 1000 - 100
    for key in range(max_concurrency):
        moments = [one.sent_at for one in day.past if one.shard % max_concurrency == key]
        assert min((later - earlier for earlier, later in pairwise(moments)), default=5.0) >= 5.0


@pytest.mark.parametrize("crash_every_s", [60.0, 2 * DAY_S])
@pytest.mark.parametrize("total", [20, 100])
def test_a_small_limit_is_kept_as_well(total: int, crash_every_s: float) -> None:
    day = Day(4, never, max_concurrency=4, total=total, crash_every_s=crash_every_s).run()
    assert len(day.sent) <= total - max(total // 10, 4)


def test_many_failing_shards_are_tried_one_at_a_time_every_five_minutes() -> None:
    day = Day(64, never, max_concurrency=16).run()
    assert len(day.sent) < 64 * 2 + 300
    assert min(later - earlier for earlier, later in pairwise(day.sent[200:])) > 299.99
    assert any("identify in vain again and again" in text for text in day.said)
    assert any("gained no shard that lasted a minute" in text for text in day.said)


def test_a_coordinator_that_crashes_again_and_again_is_not_faster_than_one_that_lasts() -> None:
    lasting = Day(16, never, max_concurrency=16).run()
    crashing = Day(16, never, max_concurrency=16, crash_every_s=240.0).run()
    assert len(crashing.sent) <= len(lasting.sent) + 32


def test_when_the_trouble_is_over_all_shards_come_back_soon() -> None:
    day = Day(16, until_the_sixth_hour, max_concurrency=16).run()
    over = START + 6 * 3600
    after = [one for one in day.past if one.sent_at >= over]
    assert {one.shard for one in after} == set(range(16))
    assert len(after) == 16
    assert after[-1].sent_at < over + 300 + 60 + 60


def test_one_shard_that_fails_for_ever_leaves_most_of_the_budget_to_the_others() -> None:
    day = Day(1, never).run()
    assert len(day.sent) < 600
