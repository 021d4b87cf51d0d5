"""A sign and a colour for each state of a shard (pure): nobody has to tell red from green."""

from __future__ import annotations

from typing import Final

from gwcluster.wire.notices import ShardState

SIGNS: Final[dict[ShardState, tuple[str, str]]] = {
    ShardState.STARTING: ("·", "dim"),
    ShardState.BACKOFF: ("↻", "yellow"),
    ShardState.CONNECTING: ("→", "cyan"),
    ShardState.QUEUED: ("…", "blue"),
    ShardState.IDENTIFYING: ("+", "cyan"),
    ShardState.RESUMING: ("»", "cyan"),
    ShardState.LIVE: ("●", "green"),
    ShardState.STOPPED: ("■", "dim"),
    ShardState.FAILED: ("✗", "bold red"),
    ShardState.ELSEWHERE: ("○", "dim"),
}

STALE: Final = ("?", "bold yellow")
"""Of a shard that was live when it was last heard of, which is too long ago."""

FREE: Final = ("◌", "bold yellow")
"""Of a shard that no host runs."""

DEGRADED: Final = ("!", "bold red")
"""Of a shard whose log can't be written."""
