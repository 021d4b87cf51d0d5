"""Where a shard can stand, for how long, and which moves are legal (pure). docs/session.md draws this."""

from __future__ import annotations

import enum
from typing import Final

from gwcluster.wire.notices import ShardState


class Phase(enum.Enum):
    """Where the shard stands."""

    OFFLINE = "not connected, until the wait before the next dial is over"
    DIALING = "connecting: TCP, TLS, websocket"
    GREETING = "connected, waiting for Hello"
    QUEUED = "greeted, waiting until the coordinator lets it identify"
    IDENTIFYING = "waiting for READY, the answer to IDENTIFY"
    RESUMING = "getting what it missed, until RESUMED ends it"
    LIVE = "events come as they happen"
    CLOSING = "we said goodbye, the other side hasn't yet"
    STOPPED = "stopped, as it was asked to"
    REFUSED = "turned away by Discord for good"


OUT: Final = frozenset({Phase.OFFLINE, Phase.CLOSING, Phase.STOPPED, Phase.REFUSED})
"""Phases in which nothing is received."""

EDGES: Final[dict[Phase, frozenset[Phase]]] = {
    Phase.OFFLINE: frozenset({Phase.DIALING, Phase.STOPPED}),
    Phase.DIALING: frozenset({Phase.GREETING, Phase.OFFLINE, Phase.STOPPED}),
    Phase.GREETING: OUT | {Phase.QUEUED, Phase.RESUMING},
    Phase.QUEUED: OUT | {Phase.IDENTIFYING},
    Phase.IDENTIFYING: OUT | {Phase.LIVE},
    Phase.RESUMING: OUT | {Phase.LIVE},
    Phase.LIVE: OUT,
    Phase.CLOSING: frozenset({Phase.OFFLINE, Phase.STOPPED}),
    Phase.STOPPED: frozenset(),
    Phase.REFUSED: frozenset(),
}
"""The only legal moves."""

PATIENCE_S: Final[dict[Phase, float]] = {
    Phase.DIALING: 15.0,
    Phase.GREETING: 20.0,
    Phase.IDENTIFYING: 90.0,
    Phase.RESUMING: 60.0,
    Phase.CLOSING: 2.0,
}
"""Seconds for which a phase may last in which nothing comes; the others may last for ever, and `OFFLINE` as
long as there is reason to wait."""

STATES: Final[dict[Phase, ShardState]] = {
    Phase.OFFLINE: ShardState.BACKOFF,
    Phase.DIALING: ShardState.CONNECTING,
    Phase.QUEUED: ShardState.QUEUED,
    Phase.IDENTIFYING: ShardState.IDENTIFYING,
    Phase.RESUMING: ShardState.RESUMING,
    Phase.LIVE: ShardState.LIVE,
    Phase.STOPPED: ShardState.STOPPED,
    Phase.REFUSED: ShardState.FAILED,
}
"""The phases that others are told about."""
