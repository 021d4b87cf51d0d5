from __future__ import annotations

from dataclasses import replace

from gwcluster.hosts.book import Found
from gwcluster.hosts.entries import HostEntry, Mark
from gwcluster.hosts.neighbours import Neighbours
from gwcluster.hosts.shares import Host

T = 10_000.0
A = HostEntry("a", "a-1", "1", 0.0, up_s=100.0, live=(0,), shards=(0, 1))


def lease(host: str, revision: int, number: int = 1) -> Found:
    return Found(Mark(host, f"{host}-1", 1, number), revision)


def hosts_of_a() -> Neighbours:
    known = Neighbours(range(3), lease_s=15.0, now=T)
    known.list_hosts([(A, 2.0)], T)
    known.list_leases([(0, lease("a", 1), 2.0), (1, lease("a", 2), 0.0)], T)
    return known


def test_a_view_says_who_is_there_since_when_and_what_is_not_live() -> None:
    view = hosts_of_a().view()
    assert view.hosts == {"a": Host(T - 102.0)}
    assert view.holders == {0: "a", 1: "a"}
    assert view.unready == {1: T, 2: T}


def test_what_is_not_renewed_for_a_lease_and_a_bit_is_gone() -> None:
    known = hosts_of_a()
    known.settle(T + 14.4)
    assert known.view().holders == {0: "a", 1: "a"}
    known.settle(T + 14.5)
    view = known.view()
    assert (view.hosts, view.holders) == ({}, {1: "a"})
    assert (view.unready[0], view.changed_at) == (T + 14.5, T + 14.5)
    known.settle(T + 16.5)
    assert known.view().holders == {}


def test_a_renewal_is_no_change_and_keeps_it() -> None:
    known = hosts_of_a()
    known.lease(0, lease("a", 5, 2), T + 10.0)
    known.host(replace(A, up_s=112.0), T + 10.0)
    known.settle(T + 16.0)
    view = known.view()
    assert (view.changed_at, view.holders) == (T, {0: "a", 1: "a"})
    assert view.hosts == {"a": Host(T - 102.0)}


def test_a_shard_is_unready_from_its_move_until_its_new_holder_says_it_is_live() -> None:
    known = hosts_of_a()
    known.host(replace(A, name="b", incarnation="b-1", live=(), shards=()), T + 1.0)
    known.lease_gone(0, 6, T + 2.0)
    assert known.view().unready[0] == T + 2.0
    known.lease(0, lease("b", 7), T + 3.0)
    assert known.view().unready[0] == T + 3.0
    known.host(replace(A, name="b", incarnation="b-1", live=(0,), shards=(0,)), T + 4.0)
    assert 0 not in known.view().unready
    assert known.view().changed_at == T + 4.0


def test_what_is_heard_late_does_not_undo_what_is_newer() -> None:
    known = hosts_of_a()
    known.lease_gone(0, 9, T + 1.0)
    known.lease(0, lease("a", 5), T + 1.1)
    assert 0 not in known.leases
    known.lease(0, lease("b", 10), T + 1.2)
    known.lease_gone(0, 9, T + 1.3)
    assert known.leases[0] == lease("b", 10)


def test_a_list_replaces_what_was_known() -> None:
    known = hosts_of_a()
    known.list_leases([(2, lease("a", 9), 0.0), (7, lease("a", 10), 0.0)], T + 1.0)
    known.list_hosts([], T + 1.0)
    assert known.view().holders == {2: "a"}  # there is no shard 7
    assert known.view().hosts == {}


def test_a_host_that_drains_or_goes_is_a_change() -> None:
    known = hosts_of_a()
    known.host(replace(A, draining=True), T + 1.0)
    assert known.view().changed_at == T + 1.0
    assert known.view().hosts["a"].draining
    known.host_gone("a", T + 2.0)
    assert known.view().changed_at == T + 2.0
    assert known.hosts == {}
