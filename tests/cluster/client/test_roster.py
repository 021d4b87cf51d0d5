"""Which hosts one is connected with, whom one asks, and when they are looked for."""

from __future__ import annotations

import pytest

from gwcluster.client.host import Host, Told
from gwcluster.client.roster import Roster

A, B, C = (Host(f"ipc:///{name}/events", f"ipc:///{name}/requests") for name in "abc")
NOW = 10_000.0


def told(*hosts: Host, **shards: list[int]) -> list[Told]:
    names = {A: "a", B: "b", C: "c"}
    return [Told(host, frozenset(shards.get(names[host], []))) for host in hosts]


def test_hosts_that_are_told_of_join_and_nothing_changes_while_they_stay() -> None:
    roster = Roster([A], several=False, now=NOW)
    assert (roster.hosts, roster.several) == ((A,), False)
    roster.told(told(A, B), NOW)
    assert (roster.hosts, roster.several) == ((A, B), True)
    before = roster.hosts
    roster.told(told(B, A), NOW + 1)
    roster.tidy(NOW + 1)
    assert roster.hosts is before


def test_a_host_nobody_tells_of_stays_for_half_a_minute_and_for_as_long_as_it_speaks() -> None:
    roster = Roster([], several=True, now=NOW)
    roster.told(told(A, B, C), NOW)
    roster.told(told(A), NOW + 5)
    roster.heard(C, NOW + 20)
    left: dict[float, tuple[Host, ...]] = {}
    for second in (34.9, 35.0, 49.9, 50.0):
        roster.tidy(NOW + second)
        left[second] = roster.hosts
    assert left == {34.9: (A, B, C), 35.0: (A, C), 49.9: (A, C), 50.0: (A,)}


def test_who_is_told_of_again_meanwhile_stays() -> None:
    # One host is cut off from the others and tells of itself alone; the next one that is asked knows better.
    roster = Roster([], several=True, now=NOW)
    roster.told(told(A, B), NOW)
    seen = set()
    for again in range(10):
        roster.told(told(A), NOW + 10 * again)
        roster.tidy(NOW + 10 * again)
        seen.add(roster.hosts)
        roster.told(told(A, B), NOW + 10 * again + 5)
    assert seen == {(A, B)}


def test_hosts_that_were_given_stay_for_ever_and_no_hosts_at_all_say_nothing() -> None:
    roster = Roster([A], several=False, now=NOW)
    roster.told([], NOW)
    assert not roster.several
    roster.told(told(B), NOW)
    roster.told([], NOW + 100)
    roster.tidy(NOW + 1000)
    assert roster.hosts == (A, B)


def test_the_owner_is_asked_first_then_others_by_turns() -> None:
    roster = Roster([A, B, C], several=True, now=NOW)
    up = {A, B, C}
    roster.told(told(A, B, C, b=[7]), NOW)
    assert [roster.pick(7, NOW, up) for _ in range(3)] == [B, B, B]
    assert {roster.pick(None, NOW, up) for _ in range(3)} == up
    roster.speaks(7, C)
    assert roster.pick(7, NOW, up) == C
    assert roster.pick(7, NOW, {A, B}) in {A, B}


def test_a_host_that_owes_an_answer_is_asked_when_there_is_no_other_and_again_after_a_while() -> None:
    roster = Roster([A, B], several=True, now=NOW)
    roster.speaks(7, A)
    roster.unwell(A, NOW)
    assert roster.pick(7, NOW + 4.9, {A, B}) == B
    assert roster.pick(7, NOW + 5, {A, B}) == A
    roster.unwell(A, NOW + 5)
    roster.unwell(B, NOW + 5)
    assert roster.pick(7, NOW + 6, {A, B}) == A
    roster.answered(B, NOW + 6)
    assert roster.pick(7, NOW + 6, {A, B}) == B


def test_nobody_is_asked_where_nobody_is_known() -> None:
    assert Roster([], several=True, now=NOW).pick(0, NOW, set()) is None


def test_until_a_host_was_heard_hosts_are_looked_for_within_the_shortest_lease() -> None:
    roster = Roster([], several=True, now=NOW)
    assert [second for second in range(100) if roster.seek(NOW + second)] == list(range(0, 100, 2))
    roster.told(told(A), NOW + 100)  # an entry of a host that is gone, say
    looks = [second for second in range(100, 200) if roster.seek(NOW + second)]
    assert looks == list(range(100, 200, 2))


def test_hosts_that_were_heard_are_looked_for_ever_less_often_while_none_speaks() -> None:
    roster = Roster([], several=True, now=NOW)
    roster.told(told(A), NOW)
    roster.heard(A, NOW)
    looks = [second for second in range(200) if roster.seek(NOW + second)]
    assert looks == [5, 10, 20, 40, 80, 140]
    roster.heard(A, NOW + 200)
    assert [second for second in range(200, 230) if roster.seek(NOW + second)] == [205, 210, 220]


def test_who_has_hosts_that_speak_looks_for_none() -> None:
    roster = Roster([A], several=True, now=NOW)
    for second in range(100):
        roster.heard(A, NOW + second)
        assert not roster.seek(NOW + second + 4.9)
    assert roster.seek(NOW + 99 + 5)


def test_when_the_last_host_is_lost_they_are_looked_for_at_once() -> None:
    roster = Roster([], several=True, now=NOW)
    roster.told(told(A, B), NOW)
    roster.heard(A, NOW)
    roster.heard(B, NOW)
    roster.lost(A, NOW + 1)
    assert not roster.seek(NOW + 1)
    roster.lost(B, NOW + 1)
    assert roster.seek(NOW + 1)


def test_who_only_asks_asks_for_hosts_once_and_again_where_they_come_and_go() -> None:
    roster = Roster([A], several=False, now=NOW)
    assert roster.is_stale(NOW)
    assert not roster.is_stale(NOW + 1_000)
    roster.status({"hosts": {"hosts": []}}, NOW + 1_000)
    assert not roster.is_stale(NOW + 2_000)
    entry = {"events": [B.events], "requests": [B.requests], "shards": []}
    assert roster.status({"shards": 4, "hosts": {"hosts": [entry]}}, NOW + 2_000) == []
    assert (roster.hosts, roster.count) == ((A, B), 4)
    assert not roster.is_stale(NOW + 2_029)
    assert roster.is_stale(NOW + 2_030)


@pytest.mark.parametrize("count", [0, -1, True, "4", None])
def test_a_shard_count_that_can_not_be_is_none(count: object) -> None:
    roster = Roster([A], several=False, now=NOW)
    roster.status({"shards": count}, NOW)
    assert roster.count is None
