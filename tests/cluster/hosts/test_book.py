from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gwcluster.hosts.book import Book, Delete, Found, Request, Write
from gwcluster.hosts.entries import Mark
from gwcluster.hosts.told import Claimed, GiveUp, Lost, Renewed, Told
from support.once import first_of

LEASE_S = 15.0
T = 10_000.0


class Rig:
    """A book of host a, and what it told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.book = Book(host="a", incarnation="a-1", lease_s=LEASE_S, tell=self.told.append)

    def ask(self, now: float) -> Request:
        (request,) = self.book.todo(now)
        return request

    def hold(self, revision: int = 5) -> Rig:
        """Claim shard 3 at `T`, answered at once."""
        self.book.claim(3, T)
        self.write(T, revision)
        return self

    def write(self, now: float, revision: int) -> Write:
        request = self.ask(now)
        assert isinstance(request, Write)
        self.book.written(request, revision)
        return request


def test_a_lease_lasts_from_the_sending_of_its_create() -> None:
    rig = Rig()
    rig.book.claim(3, T)
    request = rig.ask(T)
    assert request == Write(3, 0, Mark("a", "a-1", 1, 1))
    assert rig.book.todo(T + 2.0) == []  # each is asked once
    assert isinstance(request, Write)
    rig.book.written(request, 5)  # the answer took two seconds
    assert rig.told == [Claimed(3, 5, T + 15.0)]
    assert (rig.book.held, rig.book.stop_at(3)) == ({3: T + 15.0}, T + 12.0)
    assert (rig.book.until(3), rig.book.until(4), rig.book.stop_at(4)) == (T + 15.0, None, None)


def test_it_is_renewed_after_a_sixth_and_lasts_from_the_sending_of_that() -> None:
    rig = Rig().hold()
    assert rig.book.due == T + 2.5
    assert rig.book.todo(T + 2.4) == []
    assert rig.write(T + 2.5, 9) == Write(3, 5, Mark("a", "a-1", 1, 2))
    assert rig.told[1:] == [Renewed(3, T + 17.5)]
    assert rig.book.due == T + 5.0


def test_a_renewal_that_is_not_answered_changes_nothing_and_is_tried_again_soon() -> None:
    rig = Rig().hold()
    rig.book.unanswered(rig.ask(T + 2.5), T + 4.0)
    assert rig.book.todo(T + 4.4) == []
    assert rig.write(T + 4.5, 9).revision == 5
    assert rig.told[1:] == [Renewed(3, T + 19.5)]


def test_a_leader_that_is_chosen_after_nine_seconds_costs_no_worker_its_life() -> None:
    rig = Rig().hold()
    lost_at = T + 2.4  # the moment before a renewal, at worst
    now = T + 2.5
    while now < lost_at + 9.0:
        rig.book.unanswered(rig.ask(now), now + 0.01)  # servers say at once that nobody leads
        assert rig.book.due is not None
        now = rig.book.due
    assert now < T + 12.0  # when it leaves
    rig.write(now, 9)
    assert [type(told) for told in rig.told] == [Claimed, Renewed]


def test_what_was_renewed_without_an_answer_lasts_from_that_sending() -> None:
    rig = Rig().hold()
    rig.book.unanswered(rig.ask(T + 2.5), T + 3.0)
    again = rig.ask(T + 3.5)
    rig.book.refused(again, Found(Mark("a", "a-1", 1, 2), 9), T + 3.6)  # the second request did it
    assert rig.told[1:] == [Renewed(3, T + 17.5)]
    assert rig.book.todo(T + 4.9) == []
    rig.book.unanswered(rig.ask(T + 5.0), T + 6.5)
    later = rig.ask(T + 7.0)
    assert isinstance(later, Write)
    assert later.revision == 9
    rig.book.written(later, 11)
    assert rig.told[-1] == Renewed(3, T + 22.0)


def test_a_refusal_because_of_what_is_just_being_written_is_no_loss() -> None:
    rig = Rig().hold()
    rig.book.unanswered(rig.ask(T + 5.0), T + 7.0)
    again = rig.ask(T + 8.0)
    rig.book.refused(again, Found(Mark("a", "a-1", 1, 1), 5), T + 8.1)
    assert [type(told) for told in rig.told] == [Claimed]
    assert rig.write(T + 9.1, 12).revision == 5


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (Found(Mark("b", "b-1", 1, 1), 9), "host 'b' has it"),
        (None, "it ended"),
        (Found(Mark("a", "a-2", 1, 1), 9), "host 'a' has it"),
    ],
)
def test_a_lease_that_is_somebody_elses_is_lost_at_once(found: Found | None, why: str) -> None:
    rig = Rig().hold()
    rig.book.refused(rig.ask(T + 5.0), found, T + 5.1)
    assert rig.told[1:] == [Lost(3, f"its lease is gone: {why}")]
    assert (rig.book.held, rig.book.shards, rig.book.todo(T + 6.0)) == ({}, frozenset(), [])


def test_a_lease_that_nobody_answers_for_is_lost_before_it_ends() -> None:
    rig = Rig().hold()
    rig.book.unanswered(rig.ask(T + 5.0), T + 13.4)
    assert rig.book.todo(T + 13.4) == []
    assert rig.book.due == T + 13.5
    assert rig.book.todo(T + 13.5) == []
    assert rig.told[1:] == [Lost(3, "its lease wasn't renewed for 13.5 s")]


def test_an_answer_that_comes_after_the_loss_brings_nothing_back() -> None:
    rig = Rig().hold()
    request = rig.ask(T + 5.0)
    rig.book.todo(T + 13.5)
    assert isinstance(request, Write)
    rig.book.written(request, 9)
    assert rig.book.held == {}
    rig.book.claim(3, T + 14.0, revision=9)
    newer = rig.ask(T + 14.0)
    rig.book.written(request, 9)  # of the former claim
    assert rig.book.held == {}
    assert isinstance(newer, Write)
    rig.book.written(newer, 12)
    assert rig.told[-1] == Claimed(3, 12, T + 29.0)  # a token that is newer


def test_a_worker_is_only_started_with_more_than_half_a_lease() -> None:
    rig = Rig()
    assert not rig.book.may_start(3, T)
    rig.hold()
    assert rig.book.may_start(3, T + 7.4)
    assert not rig.book.may_start(3, T + 7.5)
    rig.write(T + 7.5, 9)
    assert rig.book.may_start(3, T + 7.5)
    rig.book.give_up(3)
    assert not rig.book.may_start(3, T + 7.5)


def test_a_create_that_another_won_tells_nothing() -> None:
    rig = Rig()
    rig.book.claim(3, T)
    rig.book.refused(rig.ask(T), Found(Mark("b", "b-1", 1, 1), 9), T + 0.1)
    assert (rig.told, rig.book.shards) == ([], frozenset())


def test_a_create_that_happened_without_an_answer_is_found_again() -> None:
    rig = Rig()
    rig.book.claim(3, T)
    rig.book.unanswered(rig.ask(T), T + 2.0)
    rig.book.refused(rig.ask(T + 3.0), Found(Mark("a", "a-1", 1, 1), 9), T + 3.1)
    assert rig.told == [Claimed(3, 9, T + 15.0)]


def test_a_claim_that_is_never_answered_is_dropped() -> None:
    rig = Rig()
    rig.book.claim(3, T)
    rig.book.unanswered(rig.ask(T), T + 14.5)
    assert rig.book.todo(T + 15.0) == []
    assert rig.book.shards == frozenset()


def test_a_shard_that_is_given_up_keeps_its_lease_until_its_worker_has_ended() -> None:
    rig = Rig().hold()
    rig.book.give_up(3)
    rig.book.give_up(3)
    assert rig.told[1:] == [GiveUp(3)]
    rig.write(T + 5.0, 9)
    assert rig.told[2:] == [Renewed(3, T + 20.0)]
    rig.book.released(3, T + 6.0)
    assert (rig.book.held, rig.book.giving) == ({}, frozenset({3}))
    delete = rig.ask(T + 6.0)
    assert delete == Delete(3, 9)
    assert isinstance(delete, Delete)
    rig.book.deleted(delete)
    assert (rig.book.shards, len(rig.told)) == (frozenset(), 3)


def test_a_deletion_waits_for_the_renewal_that_is_under_way() -> None:
    rig = Rig().hold()
    renewal = rig.ask(T + 5.0)
    rig.book.released(3, T + 5.1)
    assert rig.book.todo(T + 5.1) == []
    assert isinstance(renewal, Write)
    rig.book.written(renewal, 9)
    assert rig.ask(T + 5.2) == Delete(3, 9)
    assert [type(told) for told in rig.told] == [Claimed]


def test_a_deletion_is_tried_again_with_what_is_there_until_the_lease_has_ended() -> None:
    rig = Rig().hold()
    rig.book.unanswered(rig.ask(T + 5.0), T + 6.0)
    rig.book.released(3, T + 6.0)
    first = rig.ask(T + 6.0)
    rig.book.refused(first, Found(Mark("a", "a-1", 1, 2), 9), T + 6.1)
    second = rig.ask(T + 6.1)
    assert second == Delete(3, 9)
    rig.book.unanswered(second, T + 8.0)
    rig.book.unanswered(rig.ask(T + 9.0), T + 11.0)
    assert rig.book.todo(T + 20.0) == []
    assert (rig.book.shards, len(rig.told)) == (frozenset(), 1)


def test_a_deletion_of_what_is_not_ours_any_more_is_done() -> None:
    rig = Rig().hold()
    rig.book.released(3, T + 1.0)
    rig.book.refused(rig.ask(T + 1.0), Found(Mark("b", "b-1", 1, 1), 9), T + 1.1)
    assert (rig.book.shards, len(rig.told)) == (frozenset(), 1)


@dataclass
class Server:
    """A bucket of one key, and a net that loses, delays and reorders."""

    dice: random.Random
    loss: float
    slowest_s: float
    now: float = T
    value: Mark | None = None
    revision: int = 0
    last: int = 0
    stored_at: float = 0.0
    line: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def tick(self) -> None:
        self.now += 0.1
        if self.value is not None and self.now >= self.stored_at + LEASE_S:
            self.value = None
            self.revision = 0
        due = [event for event in self.line if event[0] <= self.now]
        self.line = [event for event in self.line if event[0] > self.now]
        self.dice.shuffle(due)
        for _, event in due:
            event()

    def later(self, event: Callable[[], None]) -> None:
        if self.dice.random() >= self.loss:
            self.line.append((self.now + self.dice.random() ** 3 * self.slowest_s, event))

    def perform(self, request: Request) -> int | None:
        if request.revision != self.revision:
            return None
        self.last += 1
        if isinstance(request, Delete):
            self.value, self.revision = None, 0
        else:
            self.value, self.revision, self.stored_at = request.mark, self.last, self.now
        return self.last

    def found(self) -> Found | None:
        return None if self.value is None else Found(self.value, self.revision)


class Owner:
    """A host that wants the shard, asks with a timeout of 2 s, and runs a worker as it is told."""

    def __init__(self, name: str, server: Server) -> None:
        self.book = Book(host=name, incarnation=f"{name}-1", lease_s=LEASE_S, tell=self.hear)
        self.name = name
        self.server = server
        self.runs_until: float | None = None
        self.token = 0

    def hear(self, told: Told) -> None:
        match told:
            case Claimed(_, token, until):
                assert token > self.token
                self.runs_until, self.token = until - LEASE_S / 10, token
            case Renewed(_, until):
                self.runs_until = until - LEASE_S / 10
            case Lost() | GiveUp():
                self.runs_until = None

    def runs(self) -> bool:
        return self.runs_until is not None and self.server.now < self.runs_until

    def tick(self) -> None:
        server, book = self.server, self.book
        ours = server.value is not None and server.value.host == self.name
        if 3 not in book.shards and (server.value is None or ours) and server.dice.random() < 0.1:
            book.claim(3, server.now, revision=server.revision)
        if 3 in book.held and server.dice.random() < 0.002:
            self.runs_until = None
            book.released(3, server.now)
        for request in book.todo(server.now):
            self.send(request)

    def send(self, request: Request) -> None:
        server, answer = self.server, first_of()

        def arrive() -> None:
            revision = server.perform(request)
            if revision is None:
                found = server.found()
                server.later(answer(lambda: self.book.refused(request, found, server.now)))
            elif isinstance(request, Write):
                server.later(answer(lambda: self.book.written(request, revision)))
            else:
                server.later(answer(lambda: self.book.deleted(request)))

        server.later(arrive)
        server.line.append((server.now + 2.0, answer(lambda: self.book.unanswered(request, server.now))))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.floats(0.0, 0.6), slowest_s=st.floats(0.0, 30.0))
@example(seed=1, loss=0.0, slowest_s=0.0)
@example(seed=2, loss=0.3, slowest_s=10.0)
def test_whatever_is_lost_late_or_out_of_order_no_two_hosts_run_a_shard(
    seed: int, loss: float, slowest_s: float
) -> None:
    server = Server(random.Random(seed), loss, slowest_s)
    owners = [Owner(name, server) for name in "abc"]
    ran: set[str] = set()
    for _ in range(1500):
        server.tick()
        for owner in owners:
            owner.tick()
        running = [owner.name for owner in owners if owner.runs()]
        assert len(running) <= 1, running
        ran.update(running)
    if loss == 0.0 and slowest_s < 1.0:
        assert ran
