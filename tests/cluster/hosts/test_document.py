from __future__ import annotations

from dataclasses import replace
from typing import Any

from gwcluster.hosts.document import document
from gwcluster.hosts.entries import HostEntry
from gwcluster.hosts.snapshot import HostNow, Snapshot

ADDRESSES: dict[str, Any] = {"events": ("tcp://b:5570",), "requests": ("tcp://b:5571",), "http": "b:5572"}
B = HostEntry("b", "1f", "1.2.3", 1_790_000_000.0, 60.0, live=(9, 8), shards=(8, 9, 10), **ADDRESSES)
A = HostEntry("a", "2e", "1.2.4", 1_790_000_000.0, 7200.0, draining=True)
SEEN = Snapshot(
    me="b",
    draining=False,
    leases={10: 14.0, 9: 12.5, 8: 13.5},
    hosts=(HostNow(B, 1.5, (10, 9, 8)), HostNow(A, 4.0, ())),
    free=(3, 1),
    connected=True,
    server="10.0.0.1:4222",
    answered_s=0.5,
    unreachable_s=None,
    leader=True,
    why=None,
)
SILENT = replace(
    SEEN, connected=False, server=None, unreachable_s=6.0, leader=None, why="no servers available"
)


def told(seen: Snapshot) -> dict[str, Any]:
    return document(seen, lease_s=15.0, spare_s=3.0)


def test_hosts_leases_and_free_shards_are_told_in_order() -> None:
    found = told(SEEN)
    assert {key: found[key] for key in ("me", "draining", "lease_s", "free")} == {
        "me": "b",
        "draining": False,
        "lease_s": 15.0,
        "free": [1, 3],
    }
    assert list(found["leases"].items()) == [("8", 13.5), ("9", 12.5), ("10", 14.0)]
    first, second = found["hosts"]
    assert (first["name"], first["version"], first["draining"], first["shards"]) == ("a", "1.2.4", True, [])
    assert second == {
        "name": "b",
        "version": "1.2.3",
        "draining": False,
        "up_s": 61.5,  # it was 60 s when it said so
        "seen_s": 1.5,
        "addresses": {"events": ["tcp://b:5570"], "requests": ["tcp://b:5571"], "http": "b:5572"},
        "shards": [8, 9, 10],
        "live": [8, 9],
    }
    assert found["nats"] == {
        "connected": True,
        "server": "10.0.0.1:4222",
        "leader": True,
        "answered_s": 0.5,
        "unreachable_s": None,
        "pause_s": None,
        "why": None,
    }


def test_while_nats_does_not_answer_it_is_told_when_the_first_shard_pauses() -> None:
    found = told(SILENT)["nats"]
    assert (found["connected"], found["unreachable_s"], found["pause_s"]) == (False, 6.0, 9.5)
    assert told(replace(SILENT, leases={8: 2.0}))["nats"]["pause_s"] == 0.0
    assert told(replace(SILENT, leases={}))["nats"]["pause_s"] is None


def test_while_nats_does_not_answer_nobody_calls_a_shard_free() -> None:
    assert told(SILENT)["free"] == []


def test_a_lease_that_has_ended_lasts_no_negative_time() -> None:
    assert told(replace(SEEN, leases={8: -1.0}))["leases"] == {"8": 0.0}
