"""What is known of every shard (pure): for people, programs and the cluster's own notices."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from gwcluster.wire.control import Pulse
from gwcluster.wire.notices import ShardState

FRESH_S: Final = 6.0
"""Three pulses: figures that are older say nothing of how the shard is now."""

COUNT_S: Final = 1.0
"""Events are counted over so long at least."""

BEATS: Final = 1.5
BEAT_SLACK_S: Final = 10.0
"""An ACK may be as old as so many heartbeat intervals, and this on top for a beat that is judged late."""

INTERVAL_S: Final = 41.25
"""What Discord asks for, where a worker hasn't told yet.
https://docs.discord.com/developers/events/gateway#sending-heartbeats"""


@dataclass(slots=True)
class ShardView:
    """One shard, as last heard.

    Attributes:
        since: Unix seconds of the last change of state.
        pid: of its worker, None while there is none.
        restarts: starts after the first.
        deaths: of its worker, unasked.
        pulse: the worker's last figures, None before the first; `pulse_at` is their monotonic moment.
        events_per_s: between the last two of them, None before the second.
        memory_bytes: of the worker.
        live_at: monotonic moment since which it is live, None while it isn't.
        counted: events and monotonic moment from which the next `events_per_s` is counted.
    """

    shard: int
    state: ShardState
    reason: str
    since: float
    pid: int | None = None
    restarts: int = 0
    deaths: int = 0
    degraded: str | None = None
    pulse: Pulse | None = None
    pulse_at: float | None = None
    events_per_s: float | None = None
    memory_bytes: int | None = None
    live_at: float | None = None
    counted: tuple[int, float] | None = None

    def pulse_age_s(self, now: float) -> float | None:
        """Return how old the worker's figures are at monotonic `now`, None if there are none."""
        return None if self.pulse_at is None else max(0.0, now - self.pulse_at)

    def is_fresh(self, now: float) -> bool:
        """Say whether what is known of the shard holds at monotonic `now`.

        To become live counts as news: the first figures and the first ACK come a little later.
        """
        told = [moment for moment in (self.pulse_at, self.live_at) if moment is not None]
        return bool(told) and now - max(told) <= FRESH_S and self._acked_lately(now)

    def is_ready(self, now: float) -> bool:
        """Say whether the shard is live at monotonic `now`, as far as anybody can know."""
        return self.state is ShardState.LIVE and self.is_fresh(now)

    def _acked_lately(self, now: float) -> bool:
        if self.live_at is None:
            return True  # not live is not ready, whatever the heart does
        pulse = self.pulse
        quiet_s = now - self.live_at
        if pulse is not None and pulse.ack_age_s is not None:
            quiet_s = min(quiet_s, pulse.ack_age_s + (self.pulse_age_s(now) or 0.0))
        interval_s = INTERVAL_S if pulse is None or pulse.heartbeat_s is None else pulse.heartbeat_s
        return quiet_s <= BEATS * interval_s + BEAT_SLACK_S


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
        away: those of them that other hosts may run.
        clock: monotonic seconds.
    """

    def __init__(
        self, shards: Iterable[int], now: float, *, clock: Callable[[], float], away: Collection[int] = ()
    ) -> None:
        self.clock = clock
        self.views = {
            shard: ShardView(shard, ShardState.STARTING, "not started yet", now)
            if shard not in away
            else ShardView(shard, ShardState.ELSEWHERE, "another host may run it", now)
            for shard in sorted(shards)
        }

    def changed(self, shard: int, state: ShardState, reason: str, now: float) -> bool:
        """Note a state at Unix second `now`; say whether it is another one than before."""
        view = self.views[shard]
        different = view.state is not state
        if different:
            view.since = now
            view.live_at = self.clock() if state is ShardState.LIVE else None
        view.state, view.reason = state, reason
        return different

    def beat(self, shard: int, pulse: Pulse) -> None:
        """Note a worker's figures."""
        view, now = self.views[shard], self.clock()
        if view.counted is None:
            view.counted = pulse.events, now
        elif (
            span_s := now - view.counted[1]
        ) >= COUNT_S:  # several may be read at once, after a stall of ours
            view.events_per_s = max(0.0, (pulse.events - view.counted[0]) / span_s)
            view.counted = pulse.events, now
        view.pulse, view.pulse_at, view.degraded = pulse, now, pulse.degraded

    def gone(self, shard: int) -> None:
        """The worker ended: its figures are nobody's any more."""
        view = self.views[shard]
        view.pid = view.pulse = view.pulse_at = view.degraded = None
        view.events_per_s = view.memory_bytes = view.counted = None

    @property
    def counts(self) -> Counts:
        """How many of the shards that are this host's are ready, degraded and failed."""
        views = [view for view in self.views.values() if view.state is not ShardState.ELSEWHERE]
        now = self.clock()
        return Counts(
            ready=sum(view.is_ready(now) for view in views),
            total=len(views),
            degraded=sum(view.degraded is not None for view in views),
            failed=sum(view.state is ShardState.FAILED for view in views),
        )
