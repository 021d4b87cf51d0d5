"""How the cluster is, as one document (pure): for requests, HTTP, and whoever else asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gwcluster.board import Board, ShardView
from gwcluster.identify.budget import UNKNOWN, Budget


@dataclass(frozen=True, slots=True)
class Run:
    """What stays the same as long as the cluster runs.

    Attributes:
        started_at: Unix seconds.
    """

    name: str
    version: str
    pid: int
    started_at: float


@dataclass(frozen=True, slots=True)
class Identifies:
    """What is left of Discord's daily limit.

    Attributes:
        spendable: of `remaining`, what isn't kept back.
        resets_at: Unix seconds.
    """

    total: int
    remaining: int
    spendable: int
    resets_at: float


def left(budget: Budget, monotonic: float, wall: float) -> Identifies | None:
    """Return what is left of a budget whose moments are monotonic, None while Discord hasn't told.

    Args:
        monotonic, wall: now, by both clocks (s).
    """
    if budget is UNKNOWN:
        return None
    resets_at = wall + budget.reset_at - monotonic
    return Identifies(budget.total, budget.remaining, budget.spendable, resets_at)


def document(
    run: Run, board: Board | None, *, now: float, shards: int | None, identifies: Identifies | None
) -> dict[str, Any]:
    """Return the document; docs/wire.md describes it.

    Args:
        run: which cluster.
        board: its shards, None until they are known.
        now: Unix seconds.
        shards: shard count of the bot, None until it is known.
        identifies: None until Discord has told.
    """
    views: Sequence[ShardView] = [] if board is None else list(board.views.values())
    counts = Board([], now).counts if board is None else board.counts
    return {
        "name": run.name,
        "version": run.version,
        "pid": run.pid,
        "started_at": run.started_at,
        "now": now,
        "shards": shards,
        "ids": [view.shard for view in views],
        "ready": counts.ready,
        "total": counts.total,
        "degraded": counts.degraded,
        "failed": counts.failed,
        "identifies": None
        if identifies is None
        else {
            "total": identifies.total,
            "remaining": identifies.remaining,
            "spendable": identifies.spendable,
            "resets_at": identifies.resets_at,
        },
        "shard": [_shard(view, now) for view in views],
    }


def _shard(view: ShardView, now: float) -> dict[str, Any]:
    pulse = view.pulse
    return {
        "shard": view.shard,
        "state": view.state.value,
        "reason": view.reason,
        "since": view.since,
        "pid": view.pid,
        "restarts": view.restarts,
        "degraded": view.degraded,
        "latency_s": None if pulse is None else pulse.latency_s,
        "events": None if pulse is None else pulse.events,
        "event_age_s": None if pulse is None else pulse.event_age_s,
        "ack_age_s": None if pulse is None else pulse.ack_age_s,
        "resumes": None if pulse is None else pulse.resumes,
        "identifies": None if pulse is None else pulse.identifies,
        "session": None if pulse is None else pulse.session,
        "offset": None if pulse is None else pulse.offset,
        "pulse_age_s": None if view.pulse_at is None else max(0.0, now - view.pulse_at),
    }
