"""Statuses of clusters, as docs/wire.md describes them."""

from __future__ import annotations

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


def status(*shards: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the status of a cluster that has these."""
    return {
        "name": "night",
        "version": "1.2.3",
        "pid": 7,
        "started_at": NOW - 60.0,
        "now": NOW,
        "shards": len(shards),
        "ready": sum(each["state"] == "live" and each["fresh"] for each in shards),
        "total": len(shards),
        "degraded": sum(each["degraded"] is not None for each in shards),
        "failed": 0,
        "identifies": {"total": 1000, "remaining": 900, "spendable": 800, "resets_at": NOW + 3600.0},
        "events_per_s": 25.0,
        "guilds": 5000,
        "reloaded_at": None,
        "rolling": None,
        "rolled": None,
        "shard": list(shards),
        **changes,
    }
