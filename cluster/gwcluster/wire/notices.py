"""Our own notices (pure): names and payloads of the events that begin with GWCLUSTER_."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Final

SHARD_STATE: Final = "GWCLUSTER_SHARD_STATE"
SESSION_LOST: Final = "GWCLUSTER_SESSION_LOST"
BEACON: Final = "GWCLUSTER_BEACON"
CLUSTER_STATE: Final = "GWCLUSTER_CLUSTER_STATE"
GAP: Final = "GWCLUSTER_GAP"

LOGGED: Final = frozenset({SHARD_STATE, SESSION_LOST})
"""The notices that are in the log, with offsets of their own."""

BEACON_INTERVAL_S: Final = 2.0


class ShardState(enum.StrEnum):
    """What a shard is doing, as people and programs are told."""

    STARTING = "starting"
    BACKOFF = "backoff"
    CONNECTING = "connecting"
    QUEUED = "queued"
    IDENTIFYING = "identifying"
    RESUMING = "resuming"
    LIVE = "live"
    STOPPED = "stopped"
    FAILED = "failed"
    ELSEWHERE = "elsewhere"  # another host's to run


def shard_state(shard: int, state: ShardState, reason: str) -> bytes:
    """Return the payload that tells a shard's new state."""
    return _payload(SHARD_STATE, {"shard": shard, "state": state.value, "reason": reason})


def session_lost(shard: int, session: int, last_seq: int | None, reason: str) -> bytes:
    """Return the payload that says: after `last_seq` of `session` and before READY, events may be missing."""
    return _payload(
        SESSION_LOST, {"shard": shard, "session": session, "last_seq": last_seq, "reason": reason}
    )


def beacon(names: Mapping[str, int], others: int | None) -> bytes:
    """Return the payload that tells the last offset of each event name of a shard.

    Args:
        others: the offset after which no name came that isn't in `names`; None: no such name ever came.
    """
    told: dict[str, object] = {"names": dict(names)}
    return _payload(BEACON, told if others is None else told | {"others": others})


def cluster_state(ready: int, total: int, degraded: int, failed: int) -> bytes:
    """Return the payload that counts the cluster's shards."""
    return _payload(CLUSTER_STATE, {"ready": ready, "total": total, "degraded": degraded, "failed": failed})


def gap(shard: int, first: int, last: int | None, reason: str) -> bytes:
    """Return the payload that says which offsets may be missing; without `last` nobody knows up to where."""
    return _payload(GAP, {"shard": shard, "first": first, "last": last, "reason": reason})


def _payload(name: str, data: Mapping[str, object]) -> bytes:
    return json.dumps({"t": name, "s": None, "op": 0, "d": data}, separators=(",", ":")).encode()
