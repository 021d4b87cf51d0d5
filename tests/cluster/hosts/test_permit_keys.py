from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gwcluster.hosts.permit_keys import PermitKeys, Return, Take
from gwcluster.identify.budget import Budget
from gwcluster.identify.gate import Gate
from support.once import first_of

T = 10_000.0
NEVER = float("-inf")


class Rig:
    def __init__(self) -> None:
        self.keys = PermitKeys(owner="a", jitter=lambda: 0.5)
        self.opens: dict[int, float] = {}

    def look(self, now: float, *wanted: int, busy: tuple[int, ...] = ()) -> list[Take | Return]:
        shards = {key: key + 16 for key in wanted}
        return self.keys.look(shards, busy, lambda key: self.opens.get(key, NEVER), now)

    def take(self, now: float) -> Take:
        (take,) = self.look(now, 3)
        assert isinstance(take, Take)
        return take

    def hold(self) -> Rig:
        """Hold key 3, asked for at `T`."""
        self.keys.taken(self.take(T), 7)
        return self


def test_a_key_that_is_wanted_is_taken_and_its_permit_is_good_from_the_sending_on() -> None:
    rig = Rig()
    assert rig.look(T, 3, 5) == [Take(3, 19, "a.1"), Take(5, 21, "a.2")]
    assert rig.look(T + 1.0, 3, 5) == []
    assert rig.keys.held(T + 1.0) == {}
    rig.keys.taken(Take(3, 19, "a.1"), 7)
    assert rig.keys.held(T + 1.0) == {3: T + 20.0}


def test_a_key_that_is_not_wanted_any_more_is_returned_at_once() -> None:
    assert Rig().hold().look(T + 1.0) == [Return(3, 7, "a.1", unused=True)]


def test_a_key_of_which_no_permit_was_granted_for_long_is_taken_anew() -> None:
    rig = Rig().hold()
    assert rig.look(T + 9.9, 3) == []
    assert rig.keys.due == T + 10.0
    assert rig.keys.held(T + 10.0) == {}
    assert rig.look(T + 10.0, 3) == [Return(3, 7, "a.1", unused=True)]
    assert rig.keys.due == T + 10.1
    assert rig.look(T + 10.1, 3) == [Take(3, 19, "a.2")]


def test_a_key_that_was_granted_is_kept_until_its_window_is_over() -> None:
    rig = Rig().hold()
    rig.keys.granted(3)
    assert rig.keys.held(T + 1.0) == {}
    assert rig.look(T + 1.0, busy=(3,)) == []
    rig.opens[3] = T + 8.25  # it was sent at T + 3
    assert rig.look(T + 3.5) == []
    assert rig.keys.due == T + 8.25
    assert rig.look(T + 8.25) == [Return(3, 7, "a.1", unused=False)]


def test_a_permit_that_comes_back_unused_frees_its_key() -> None:
    rig = Rig().hold()
    rig.keys.granted(3)
    assert rig.look(T + 1.0, 3) == [Return(3, 7, "a.1", unused=False)]  # the gate's ledger knows it is unused


def test_a_key_that_another_has_is_asked_for_again_in_a_second_or_when_it_is_free() -> None:
    rig = Rig()
    rig.keys.refused(rig.take(T), T)
    assert rig.look(T + 0.9, 3) == []
    assert rig.keys.due == T + 1.0
    rig.keys.refused(rig.take(T + 1.0), T + 1.0)
    rig.keys.freed(3, T + 1.2)
    assert rig.take(T + 1.2).permit == "a.3"


def test_who_returned_a_key_lets_others_go_first() -> None:
    rig = Rig().hold()
    rig.look(T + 1.0)
    rig.keys.freed(3, T + 1.0)  # by ourselves
    assert rig.look(T + 1.05, 3) == []
    assert rig.take(T + 1.1).permit == "a.2"


def test_a_create_that_is_not_answered_is_tried_again_and_counts_from_the_first_sending() -> None:
    rig = Rig()
    rig.keys.unanswered(rig.take(T), T + 2.0)
    assert rig.look(T + 2.9, 3) == []
    again = rig.take(T + 3.0)
    assert again == Take(3, 19, "a.1")
    rig.keys.taken(again, 7)
    assert rig.keys.held(T + 3.0) == {3: T + 20.0}


def test_a_create_that_is_never_answered_is_left_to_its_ttl() -> None:
    rig = Rig()
    rig.keys.unanswered(rig.take(T), T + 9.9)
    assert rig.look(T + 10.0) == []
    assert rig.take(T + 10.1).permit == "a.2"


def test_an_answer_to_what_was_given_up_counts_for_nothing() -> None:
    rig = Rig()
    old = rig.take(T)
    rig.keys.unanswered(old, T + 9.9)
    new = rig.take(T + 10.0) if rig.look(T + 10.0) == [] else old
    rig.keys.taken(old, 7)
    assert rig.keys.held(T + 10.0) == {}
    rig.keys.taken(new, 8)
    assert rig.keys.held(T + 10.0) == {3: T + 30.0}


def test_who_leaves_returns_what_it_did_not_grant() -> None:
    rig = Rig().hold()
    (other,) = rig.look(T + 1.0, 3, 5)
    assert isinstance(other, Take)
    rig.keys.taken(other, 8)
    rig.keys.granted(5)
    assert rig.keys.leave() == [Return(3, 7, "a.1", unused=True)]


@dataclass
class World:
    """Keys of a bucket with a TTL of 30 s, a net that loses and delays, and what was sent to Discord."""

    dice: random.Random
    loss: float
    slowest_s: float
    now: float = T
    keys: dict[int, tuple[str, int, float]] = field(default_factory=dict)  # permit, revision, stored at
    revision: int = 0
    line: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    identified: list[tuple[int, float]] = field(default_factory=list)

    def tick(self) -> None:
        self.now += 0.1
        self.keys = {key: one for key, one in self.keys.items() if self.now < one[2] + 30.0}
        due = [event for event in self.line if event[0] <= self.now]
        self.line = [event for event in self.line if event[0] > self.now]
        self.dice.shuffle(due)
        for _, event in due:
            event()

    def later(self, event: Callable[[], None]) -> None:
        if self.dice.random() >= self.loss:
            self.line.append((self.now + self.dice.random() ** 3 * self.slowest_s, event))


class Host:
    """A gate, its keys, and workers that identify some time before their permit ends."""

    def __init__(self, name: str, world: World, shards: list[int]) -> None:
        self.world = world
        self.alive = True
        budget = Budget(total=1000, remaining=1000, reset_at=T + 86_400.0, reserve=0)
        self.gate = Gate(max_concurrency=2, budget=budget, jitter=world.dice.random)
        self.keys = PermitKeys(owner=name, jitter=world.dice.random)
        for shard in shards:
            self.gate.ask(shard, T)

    def tick(self) -> None:
        now = self.world.now
        for grant in self.gate.step(now, keys=self.keys.held(now)):
            self.keys.granted(grant.shard % 2)
            self.work(grant.shard, grant.lease_until)
        keys = self.keys.look(self.gate.wanted_keys(now), self.gate.busy_keys, self.gate.key_opens_at, now)
        for each in keys:
            if isinstance(each, Take):
                self.take(each)
            else:
                self.world.later(lambda each=each: self.give_back(each))  # type: ignore[misc]

    def work(self, shard: int, until: float) -> None:
        world = self.world
        at = world.now + (until - world.now - 0.11) * world.dice.choice([0.0, 0.1, world.dice.random(), 1.0])

        def send() -> None:
            world.identified.append((shard % 2, world.now))
            sent_at = world.now
            if world.dice.random() < 0.8:  # else nobody hears of it
                world.line.append((world.now + 0.3, lambda: self.gate.used(shard, world.now, sent_at)))

        if world.dice.random() < 0.2:
            world.line.append((world.now + 0.5, lambda: self.gate.unused(shard, world.now)))
            world.line.append((world.now + 0.6, lambda: self.gate.ask(shard, world.now)))
        else:
            world.line.append((at, send))
            if world.dice.random() < 0.1:
                self.alive = False

    def take(self, take: Take) -> None:
        world, answer = self.world, first_of()

        def arrive() -> None:
            permit, revision, _ = world.keys.get(take.key, (take.permit, 0, 0.0))
            if permit != take.permit:
                world.later(answer(lambda: self.keys.refused(take, world.now)))
                return
            if revision == 0:
                world.revision += 1
                world.keys[take.key] = take.permit, world.revision, world.now
                revision = world.revision
            world.later(answer(lambda: self.keys.taken(take, revision)))

        world.later(arrive)
        world.line.append((world.now + 2.0, answer(lambda: self.keys.unanswered(take, world.now))))

    def give_back(self, back: Return) -> None:
        if self.world.keys.get(back.key, ("", 0, 0.0))[1] == back.revision:
            del self.world.keys[back.key]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.floats(0.0, 0.5), slowest_s=st.floats(0.0, 30.0))
@example(seed=1, loss=0.0, slowest_s=0.0)
@example(seed=5, loss=0.2, slowest_s=3.0)
def test_whatever_is_lost_or_dies_two_identifies_of_a_key_are_a_window_apart(
    seed: int, loss: float, slowest_s: float
) -> None:
    world = World(random.Random(seed), loss, slowest_s)
    hosts = [Host(name, world, list(range(n, 24, 3))) for n, name in enumerate("abc")]
    for _ in range(1000):
        world.tick()
        for host in hosts:
            if host.alive:
                host.tick()
    last: dict[int, float] = {}
    for key, at in world.identified:
        assert at - last.get(key, NEVER) >= 5.0
        last[key] = at
    if loss == 0.0 and slowest_s < 1.0:
        assert world.identified
