from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwcluster.hosts.shares import Host, Moves, Pace, View, moves, share

PACE = Pace(settle_s=15.0, patience_s=30.0, stagger_s=1.0)
NOW = 10_000.0
LONG_AGO = NOW - 1000.0


def view(holders: dict[int, str], **hosts: float | str) -> View:
    """All held shards are live. A host is given by the moment when it came, or "draining"."""
    there = {
        name: Host(LONG_AGO, draining=True) if isinstance(since, str) else Host(since)
        for name, since in hosts.items()
    }
    return View(there, holders, {}, LONG_AGO)


def decide(seen: View, me: str, shards: int, *, giving: tuple[int, ...] = ()) -> Moves:
    return moves(seen, me=me, shards=range(shards), giving=giving, now=NOW, pace=PACE)


@pytest.mark.parametrize(
    ("shards", "hosts", "most"), [(7, 3, 3), (6, 3, 2), (1, 3, 1), (64, 1, 64), (0, 2, 0), (5, 0, 0)]
)
def test_a_share_is_what_divides_evenly_rounded_up(shards: int, hosts: int, most: int) -> None:
    assert share(shards, hosts) == most


def test_free_shards_go_to_the_hosts_with_the_fewest() -> None:
    seen = view({0: "a", 1: "a", 2: "b"}, a=LONG_AGO, b=LONG_AGO, c=LONG_AGO)
    assert decide(seen, "a", 7) == Moves((6,))
    assert decide(seen, "b", 7) == Moves((4,))
    assert decide(seen, "c", 7) == Moves((3, 5))


def test_nobody_claims_before_some_host_has_been_there_for_long_enough() -> None:
    seen = view({}, a=NOW - 14.9, b=NOW - 3.0)
    assert decide(seen, "a", 4) == decide(seen, "b", 4) == Moves()
    seen = view({}, a=NOW - 15.0, b=NOW - 4.0)
    assert (decide(seen, "a", 4), decide(seen, "b", 4)) == (Moves((0, 2)), Moves((1, 3)))


def test_a_host_that_just_came_takes_its_part_of_what_is_free_at_once() -> None:
    assert decide(view({0: "a"}, a=LONG_AGO, b=NOW), "b", 3) == Moves((1,))


def test_what_another_does_not_claim_in_time_is_claimed_by_who_has_room() -> None:
    seen = view({0: "a"}, a=LONG_AGO, b=LONG_AGO)
    late = replace(seen, unready={1: NOW - 30.0})
    assert decide(replace(seen, unready={1: NOW - 29.0}), "a", 4).claim == (2,)
    assert decide(late, "a", 4).claim == (2,)  # its share is two
    seen = view({}, a=LONG_AGO, b=LONG_AGO)
    assert decide(replace(seen, unready={1: NOW - 30.0}), "a", 2).claim == (0,)
    seen = view({0: "b"}, a=LONG_AGO, b=LONG_AGO, c=LONG_AGO)
    assert decide(replace(seen, unready={1: NOW - 30.0}), "c", 2).claim == (1,)


def test_a_surplus_goes_one_by_one_and_only_to_hosts_that_have_settled() -> None:
    holders = dict.fromkeys(range(6), "a")
    assert decide(view(holders, a=LONG_AGO, b=NOW - 14.0), "a", 6) == Moves()
    seen = view(holders, a=LONG_AGO, b=NOW - 15.0)
    assert decide(seen, "a", 6) == Moves((), 5)
    assert decide(seen, "a", 6, giving=(5,)) == Moves()
    moved = {**holders, 5: "b"}
    assert decide(replace(seen, holders=moved, unready={5: NOW - 29.0}), "a", 6) == Moves()
    assert decide(replace(seen, holders=moved, unready={5: NOW - 30.0}), "a", 6) == Moves((), 4)
    assert decide(replace(seen, holders=moved), "a", 6) == Moves((), 4)


def test_of_two_hosts_over_their_share_the_fuller_one_begins() -> None:
    holders = {**dict.fromkeys(range(5), "a"), **dict.fromkeys(range(5, 9), "b")}
    seen = replace(view(holders, a=LONG_AGO, b=LONG_AGO, c=LONG_AGO), changed_at=NOW - 0.5)
    assert decide(seen, "a", 9) == Moves((), 4)
    assert decide(seen, "b", 9) == Moves()
    assert decide(replace(seen, changed_at=NOW - 1.0), "b", 9) == Moves((), 8)  # should `a` not move


def test_who_drains_goes_first_claims_nothing_and_keeps_what_nobody_could_take() -> None:
    seen = view({0: "a", 1: "b", 2: "b", 3: "b"}, a="draining", b=LONG_AGO, c=LONG_AGO)
    seen = replace(seen, changed_at=NOW)
    assert decide(seen, "a", 4) == Moves((), 0)
    assert decide(seen, "b", 4) == Moves()
    assert decide(view({0: "a"}, a="draining", b=LONG_AGO), "a", 4) == Moves((), 0)
    assert decide(view({0: "a"}, a="draining"), "a", 4) == Moves()
    assert decide(view({}, a="draining"), "a", 4) == Moves()


def test_a_host_that_is_not_there_does_nothing() -> None:
    assert decide(view({}, b=LONG_AGO), "a", 4) == Moves()


@dataclass
class World:
    """Hosts that decide once a second, on what each saw some ago; a moved shard is live after one."""

    shards: int
    lags: dict[str, int]
    now: float = NOW
    hosts: dict[str, Host] = field(default_factory=dict)
    holders: dict[int, str] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    giving: dict[int, str] = field(default_factory=dict)
    unready: dict[int, float] = field(default_factory=dict)
    changed_at: float = NOW
    past: list[View] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    most_away: int = 0

    def __post_init__(self) -> None:
        self.unready = dict.fromkeys(range(self.shards), NOW)

    def join(self, name: str) -> None:
        self.hosts[name] = Host(self.now)
        self.changed_at = self.now

    def die(self, name: str) -> None:
        del self.hosts[name]
        self.changed_at = self.now
        for shard in [shard for shard, holder in self.holders.items() if holder == name]:
            self._free(shard)

    def drain(self, name: str) -> None:
        self.hosts[name] = replace(self.hosts[name], draining=True)
        self.changed_at = self.now

    def _free(self, shard: int) -> None:
        self.giving.pop(shard, None)
        self.holders.pop(shard, None)
        self.live.discard(shard)
        self._moved(shard)

    def _moved(self, shard: int) -> None:
        self.unready[shard] = self.changed_at = self.now

    def tick(self) -> None:
        for shard in list(self.giving):
            self._free(shard)
        for shard in self.holders.keys() - self.live:
            self.live.add(shard)
            self.unready.pop(shard, None)
            self.changed_at = self.now
        self.past.append(View(dict(self.hosts), dict(self.holders), dict(self.unready), self.changed_at))
        for name in sorted(self.hosts, key=lambda name: (self.now * 7 + ord(name)) % 5):
            self._decide(name)
        self.now += 1.0
        self.most_away = max(self.most_away, self.shards - len(self.live))

    def _decide(self, name: str) -> None:
        seen = self.past[max(0, len(self.past) - 1 - self.lags.get(name, 0))]
        own = {shard: holder for shard, holder in self.holders.items() if holder == name}
        others = {shard: holder for shard, holder in seen.holders.items() if holder != name}
        mine = tuple(shard for shard, holder in self.giving.items() if holder == name)
        hosts = {**seen.hosts, name: self.hosts[name]}
        decided = moves(
            replace(seen, hosts=hosts, holders={**others, **own}),
            me=name,
            shards=range(self.shards),
            giving=mine,
            now=self.now,
            pace=PACE,
        )
        for shard in decided.claim:
            assert not self.hosts[name].draining
            if shard not in self.holders:  # a create: the first one wins
                self.holders[shard] = name
                self._moved(shard)
        if decided.give_up is not None:
            assert self.holders[decided.give_up] == name
            self.giving[decided.give_up] = name
            self.live.discard(decided.give_up)
            self._moved(decided.give_up)
            self.given_up.append(decided.give_up)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.tick()

    def rest(self) -> None:
        """Run for as long as it may take."""
        self.run(int(PACE.settle_s + PACE.patience_s) + 8 * self.shards + 10)
        self.given_up = []
        self.most_away = 0

    @property
    def staying(self) -> list[str]:
        return [name for name, host in self.hosts.items() if not host.draining]

    def load(self, name: str) -> int:
        return sum(holder == name for holder in self.holders.values())

    def check_rest(self) -> None:
        if not self.staying:
            return
        assert len(self.holders) == len(self.live) == self.shards
        for name, host in self.hosts.items():
            assert self.load(name) <= (0 if host.draining else share(self.shards, len(self.staying)))


NAMES = "abcd"
STEPS = st.lists(
    st.tuples(st.sampled_from(["join", "die", "drain"]), st.sampled_from(NAMES), st.integers(0, 40)),
    max_size=10,
)


@settings(max_examples=60, deadline=None)
@given(
    shards=st.integers(1, 9), steps=STEPS, lags=st.fixed_dictionaries({n: st.integers(0, 3) for n in NAMES})
)
def test_whatever_happens_it_comes_to_rest_with_nobody_over_the_share(
    shards: int, steps: list[tuple[str, str, int]], lags: dict[str, int]
) -> None:
    world = World(shards, lags)
    world.join("a")
    for what, name, wait_s in steps:
        if (what == "join") == (name not in world.hosts):
            getattr(world, what)(name)
        world.run(wait_s)
    world.rest()
    world.check_rest()
    before = dict(world.holders)
    world.run(50)
    assert (world.holders, world.given_up) == (before, [])


@settings(max_examples=40, deadline=None)
@given(shards=st.integers(1, 12), hosts=st.integers(1, 3), data=st.data())
def test_one_change_moves_no_more_than_the_new_shares_need_and_one_at_a_time(
    shards: int, hosts: int, data: st.DataObject
) -> None:
    world = World(shards, {})
    for name in NAMES[:hosts]:
        world.join(name)
    world.rest()
    assert world.given_up == []
    loads = {name: world.load(name) for name in world.hosts}
    what = data.draw(st.sampled_from(["join", "die", "drain"]))
    if what == "join":
        world.join("d")
        needed = sum(max(0, load - share(shards, hosts + 1)) for load in loads.values())
    else:
        getattr(world, what)("a")
        needed = loads["a"] if what == "drain" and hosts > 1 else 0
    world.run(70 + 8 * shards)
    world.check_rest()
    assert len(world.given_up) == needed
    if what != "die":
        assert world.most_away <= 1


@given(
    shards=st.integers(1, 12),
    hosts=st.dictionaries(st.sampled_from(NAMES), st.booleans(), min_size=1),
    data=st.data(),
)
def test_two_hosts_that_see_the_same_never_claim_the_same(
    shards: int, hosts: dict[str, bool], data: st.DataObject
) -> None:
    holders = data.draw(st.dictionaries(st.integers(0, shards - 1), st.sampled_from(sorted(hosts))))
    there = {name: Host(LONG_AGO, draining) for name, draining in hosts.items()}
    seen = View(there, holders, {}, LONG_AGO)
    claimed = [shard for name in hosts for shard in decide(seen, name, shards).claim]
    assert len(claimed) == len(set(claimed))
    assert not set(claimed) & holders.keys()
