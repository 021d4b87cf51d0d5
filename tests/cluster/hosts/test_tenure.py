"""What runs here, and what this host has the leases of: real deciders, a crew and leases that are played."""

from __future__ import annotations

import logging
from collections.abc import Collection

import pytest

from gwcluster.hosts.tenure import Tenure
from gwcluster.hosts.told import Claimed, GiveUp, Lost, Renewed
from gwcluster.supervise.supervisor import Effect, Kill, Start, Supervisor
from gwcluster.wire.control import Leased, Message

LEASE_S = 15.0
SIGTERM, SIGKILL = 15, 9
UNLEASED = 77


class FakeLeases:
    def __init__(self, clock: Clock) -> None:
        self.ends: dict[int, float] = {}
        self.freed: list[int] = []
        self.lives: list[set[int]] = []
        self._clock = clock

    def stop_at(self, shard: int) -> float | None:
        return None if shard not in self.ends else self.ends[shard] - LEASE_S / 5

    def may_start(self, shard: int) -> bool:
        return shard in self.ends and self.ends[shard] - self._clock.now > LEASE_S / 2

    def released(self, shard: int) -> None:
        self.freed.append(shard)
        del self.ends[shard]

    def live(self, shards: Collection[int]) -> None:
        self.lives.append(set(shards))


class Clock:
    now = 10_000.0


class FakeCrew:
    """Keeps what it is told, and does with a real supervisor what a crew does."""

    def __init__(self, clock: Clock, *shards: int) -> None:
        self.supervisor = Supervisor(
            shards, restarts=5, within_s=60.0, now=clock.now, jitter=lambda: 1.0, away=shards
        )
        self.live: set[int] = set()
        self.told: list[tuple[int, Message]] = []
        self.reasons: list[tuple[int, str]] = []
        self.woken = 0
        self._clock = clock

    def take(self, shard: int) -> None:
        self.supervisor.take(shard, self._clock.now)

    def give_up(self, shard: int, why: str, *, at_once: bool = False) -> None:
        self.reasons.append((shard, why))
        self.supervisor.give_up(shard, self._clock.now, *([0.0] if at_once else []))

    def tell(self, shard: int, message: Message) -> None:
        self.told.append((shard, message))

    def wake(self) -> None:
        self.woken += 1


class Rig:
    def __init__(self, *shards: int) -> None:
        self.clock = Clock()
        self.leases = FakeLeases(self.clock)
        self.crew = FakeCrew(self.clock, *shards)
        self.tenure = Tenure(self.leases, self.crew)

    def claims(self, *shards: int) -> None:
        for shard in shards:
            self.leases.ends[shard] = self.clock.now + LEASE_S
            self.tenure.heard(Claimed(shard, 7, self.clock.now + LEASE_S))

    def renews(self, *shards: int) -> None:
        for shard in shards:
            self.leases.ends[shard] = self.clock.now + LEASE_S
            self.tenure.heard(Renewed(shard, self.clock.now + LEASE_S))

    def pass_(self) -> list[Effect]:
        """Let the crew make one pass; what is to start starts."""
        self.tenure.step()
        effects = self.crew.supervisor.step(self.clock.now)
        for effect in effects:
            if isinstance(effect, Start):
                self.crew.supervisor.started(effect.shard, 100 + effect.shard, self.clock.now)
        return effects

    def running(self, *shards: int) -> Rig:
        self.claims(*shards)
        self.pass_()
        for shard in shards:
            self.crew.supervisor.live(shard, self.clock.now)
            self.crew.live.add(shard)
        self.pass_()
        return self

    def exits(self, shard: int, status: int = 0) -> None:
        self.crew.live.discard(shard)
        self.crew.supervisor.exited(shard, status, self.clock.now)


def test_only_what_is_claimed_is_started_and_each_change_of_what_is_live_is_told_once() -> None:
    rig = Rig(0, 1, 2)
    assert rig.pass_() == []
    rig.claims(1)
    assert rig.crew.woken == 1
    assert rig.pass_() == [Start(1, attempt=1)]
    assert rig.leases.lives == []
    rig.crew.live.add(1)
    assert [rig.pass_() for _ in range(3)] == [[], [], []]
    assert rig.leases.lives == [{1}]


def test_a_renewal_tells_the_worker_to_be_gone_a_fifth_of_the_lease_before_its_end() -> None:
    rig = Rig(0).running(0)
    rig.clock.now = 10_005.0
    rig.renews(0)
    assert rig.crew.told == [(0, Leased(10_017.0))]


def test_a_shard_that_is_given_up_keeps_its_lease_until_its_worker_has_ended() -> None:
    rig = Rig(0, 1).running(0, 1)
    rig.tenure.heard(GiveUp(0))
    assert rig.pass_() == [Kill(0, SIGTERM)]
    rig.clock.now = 10_005.0
    rig.renews(0)  # as long as it stops
    assert rig.pass_() == []
    assert rig.leases.freed == []
    rig.exits(0)
    assert rig.pass_() == []
    assert (rig.leases.freed, rig.leases.lives[-1]) == ([0], {1})
    rig.clock.now = 10_030.0
    rig.renews(1)
    assert rig.pass_() == [], "and it isn't started again"
    rig.claims(0)
    assert rig.pass_() == [Start(0, attempt=2)]


def test_what_never_ran_is_released_at_once() -> None:
    rig = Rig(0)
    rig.claims(0)
    rig.tenure.heard(GiveUp(0))
    assert rig.pass_() == []
    assert rig.leases.freed == [0]


def test_a_lost_shard_is_killed_at_once_and_said_and_nothing_is_released(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(0).running(0)
    del rig.leases.ends[0]
    with caplog.at_level(logging.ERROR):
        rig.tenure.heard(Lost(0, "host b has its lease"))
    assert caplog.messages == ["shard 0 is no longer this host's: host b has its lease"]
    assert rig.pass_() == [Kill(0, SIGKILL)]
    rig.exits(0, -SIGKILL)
    assert (rig.pass_(), rig.leases.freed) == ([], [])


def test_what_is_lost_while_it_is_given_up_is_killed_and_not_released() -> None:
    rig = Rig(0).running(0)
    rig.tenure.heard(GiveUp(0))
    assert rig.pass_() == [Kill(0, SIGTERM)]
    rig.tenure.heard(Lost(0, "its lease ended"))
    assert rig.pass_() == [Kill(0, SIGKILL)]
    rig.exits(0, -SIGKILL)
    assert (rig.pass_(), rig.leases.freed) == ([], [])


def test_a_worker_that_let_go_for_want_of_a_renewal_is_back_when_there_is_one() -> None:
    rig = Rig(0).running(0)
    rig.clock.now = 10_012.0
    rig.exits(0, UNLEASED)
    assert rig.pass_() == []
    rig.clock.now = 10_013.0
    rig.renews(0)
    assert rig.pass_() == [Start(0, attempt=2)]


def test_nothing_is_started_on_a_lease_that_is_about_to_end() -> None:
    rig = Rig(0).running(0)
    rig.clock.now = 10_008.0
    rig.exits(0, -SIGKILL)  # it would be back at once otherwise
    assert rig.pass_() == []
    assert rig.crew.reasons == [(0, "its lease isn't renewed")]
    assert rig.leases.freed == [], "the lease is this host's still"
    rig.renews(0)
    assert rig.pass_() == [Start(0, attempt=2)]


def test_a_shard_that_failed_is_left_alone_while_its_lease_lasts() -> None:
    rig = Rig(0)
    rig.running(0)
    rig.crew.supervisor.failed[0] = "died 6 times"
    rig.exits(0, 65)
    assert rig.pass_() == []
    assert rig.crew.supervisor.failed.keys() == {0}
