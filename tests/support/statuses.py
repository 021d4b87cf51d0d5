"""Statuses of clusters, as docs/wire.md describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

NOW: Final = 1_790_000_000.0
"""Unix seconds of each."""


def shard(number: int, **changes: Any) -> dict[str, Any]:
    """Return a shard that is well, but for these changes."""
    return {
        "shard": number,
        "state": "live",
        "reason": "READY",
        "since": NOW - 90.0,
        "host": None,
        "free": False,
        "pid": 100 + number,
        "restarts": 0,
        "deaths": 0,
        "fresh": True,
        "memory_bytes": 5 << 20,
        "degraded": None,
        "latency_s": 0.04,
        "events": 1,
        "event_age_s": 0.25,
        "ack_age_s": 20.0,
        "resumes": 2,
        "identifies": 1,
        "session": 1,
        "offset": 0,
        "pulse_age_s": 1.0,
        "events_per_s": 12.5,
        "guilds": 2500,
        "session_age_s": 7200.0,
        **changes,
    }


FAILED: Final = {
    "state": "failed",
    "fresh": False,
    "reason": "died 6 times",
    "latency_s": None,
    "pulse_age_s": None,
}
STALE: Final = {"fresh": False, "pulse_age_s": 33.0}


def elsewhere(number: int, host: str | None) -> dict[str, Any]:
    """Return a shard that another host runs; None: no host does."""
    told = ("latency_s", "events", "event_age_s", "ack_age_s", "resumes", "identifies", "session", "offset")
    more = ("pid", "memory_bytes", "pulse_age_s", "events_per_s", "guilds", "session_age_s")
    unknown = dict.fromkeys((*told, *more))
    words = "no host runs it" if host is None else f"live on host {host}"
    changes = {"host": host, "free": host is None, "reason": words, "fresh": False}
    return shard(number, state="elsewhere", **changes, **unknown)


def neighbour(name: str, shards: Sequence[int], **changes: Any) -> dict[str, Any]:
    """Return what a status tells of a host that is well, but for these changes."""
    return {
        "name": name,
        "version": "1.2.3",
        "draining": False,
        "up_s": 7200.0,
        "seen_s": 2.0,
        "addresses": {"events": [f"tcp://{name}:5570"], "requests": [f"tcp://{name}:5571"], "http": None},
        "shards": list(shards),
        "live": list(shards),
        **changes,
    }


NATS: Final = {
    "connected": True,
    "server": "10.0.0.1:4222",
    "leader": True,
    "answered_s": 1.5,
    "unreachable_s": None,
    "pause_s": None,
    "why": None,
}
SILENT: Final = {
    "connected": False,
    "server": None,
    "leader": None,
    "answered_s": 9.0,
    "unreachable_s": 9.0,
    "pause_s": 3.0,
    "why": "no servers available",
}
"""Changes of `nats`: it doesn't answer."""


def hosts(
    me: str, *all_: dict[str, Any], free: Sequence[int] = (), nats: Mapping[str, Any] = NATS, **changes: Any
) -> dict[str, Any]:
    """Return `hosts` of the status that host `me` tells."""
    (mine,) = [host for host in all_ if host["name"] == me]
    return {
        "me": me,
        "draining": mine["draining"],
        "lease_s": 15.0,
        "leases": {str(number): 13.5 for number in mine["shards"]},
        "hosts": list(all_),
        "free": list(free),
        "nats": {**NATS, **nats},
        **changes,
    }


def of_three(**changes: Any) -> dict[str, Any]:
    """Return the status of host b, of three hosts with 8 of 24 shards each, but for changes of `hosts`."""
    all_ = [neighbour(name, range(first, first + 8)) for name, first in (("a", 0), ("b", 8), ("c", 16))]
    names = [name for name in "abc" for _ in range(8)]
    shards = [
        shard(number, host="b") if name == "b" else elsewhere(number, name)
        for number, name in enumerate(names)
    ]
    return status(*shards, hosts={**hosts("b", *all_), **changes})


def status(*shards: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the status of a cluster that has these."""
    return {
        "name": "night",
        "version": "1.2.3",
        "pid": 7,
        "started_at": NOW - 60.0,
        "now": NOW,
        "shards": len(shards),
        "ids": [each["shard"] for each in shards],
        "ready": sum(each["state"] == "live" and each["fresh"] for each in shards),
        "total": sum(each["state"] != "elsewhere" for each in shards),
        "degraded": sum(each["degraded"] is not None for each in shards),
        "failed": 0,
        "identifies": {"total": 1000, "remaining": 900, "spendable": 800, "resets_at": NOW + 3600.0},
        "events_per_s": 25.0,
        "guilds": 5000,
        "reloaded_at": None,
        "rolling": None,
        "rolled": None,
        "hosts": None,
        "shard": list(shards),
        **changes,
    }
