"""What is known of every shard (pure): for people, programs and the cluster's own notices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gwcluster.wire.control import Pulse
from gwcluster.wire.notices import ShardState


@dataclass(slots=True)
class ShardView:
    """One shard, as last heard.

    Attributes:
        since: Unix seconds of the last change of state.
        pid: of its worker, None while there is none.
        restarts: starts after the first.
        pulse: the worker's last figures, None before the first; `pulse_at` is their Unix moment.
    """

    shard: int
    state: ShardState
    reason: str
    since: float
    pid: int | None = None
    restarts: int = 0
    degraded: str | None = None
    pulse: Pulse | None = None
    pulse_at: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Shards by what matters."""

    ready: int
    total: int
    degraded: int
    failed: int


class Board:
    """All shards of this cluster.

    Args:
        shards: their ids.
        now: Unix seconds.
    """

    def __init__(self, shards: Iterable[int], now: float) -> None:
        self.views = {
            shard: ShardView(shard, ShardState.STARTING, "not started yet", now) for shard in sorted(shards)
        }

    def changed(self, shard: int, state: ShardState, reason: str, now: float) -> bool:
        """Note a state; say whether it is another one than before."""
        view = self.views[shard]
        different = view.state is not state
        if different:
            view.since = now
        view.state, view.reason = state, reason
        return different

    def beat(self, shard: int, pulse: Pulse, now: float) -> None:
        """Note a worker's figures."""
        view = self.views[shard]
        view.pulse, view.pulse_at, view.degraded = pulse, now, pulse.degraded

    def gone(self, shard: int) -> None:
        """The worker ended: its figures are nobody's any more."""
        view = self.views[shard]
        view.pid = view.pulse = view.pulse_at = view.degraded = None

    @property
    def counts(self) -> Counts:
        """How many shards are live, degraded and failed."""
        views = self.views.values()
        return Counts(
            ready=sum(view.state is ShardState.LIVE for view in views),
            total=len(views),
            degraded=sum(view.degraded is not None for view in views),
            failed=sum(view.state is ShardState.FAILED for view in views),
        )
