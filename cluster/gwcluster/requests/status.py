"""How the cluster is, as one document (pure): for requests, HTTP, and whoever else asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gwcluster.board import Board, Counts, ShardView
from gwcluster.identify.budget import UNKNOWN, Budget
from gwcluster.supervise.rolling import Rolled
from gwcluster.wire.notices import ShardState


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


@dataclass(frozen=True, slots=True)
class News:
    """What operators did while the cluster ran.

    Attributes:
        reloaded_at: Unix seconds of the last reload that was taken.
        rolling: the rolling restart that goes on.
        rolled: the last one that ended.
    """

    reloaded_at: float | None = None
    rolling: Rolled | None = None
    rolled: Rolled | None = None


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
    run: Run,
    board: Board | None,
    *,
    now: float,
    shards: int | None,
    identifies: Identifies | None,
    news: News,
    hosts: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the document; docs/wire.md describes it.

    Args:
        run: which cluster.
        board: its shards, None until they are known.
        now: Unix seconds.
        shards: shard count of the bot, None until it is known.
        identifies: None until Discord has told.
        news: what operators did.
        hosts: how this host and the others are; None: there is one.
    """
    views: Sequence[ShardView] = [] if board is None else list(board.views.values())
    counts = Counts(0, 0, 0, 0) if board is None else board.counts
    at = 0.0 if board is None else board.clock()
    known = _elsewhere(hosts)
    told = [_shard(view, at, known.get(view.shard, {})) for view in views]
    guilds = [each["guilds"] for each in told if each["guilds"] is not None]
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
        "events_per_s": sum(each["events_per_s"] or 0.0 for each in told if each["fresh"]),
        "guilds": sum(guilds) if guilds else None,
        "reloaded_at": news.reloaded_at,
        "rolling": None if news.rolling is None else news.rolling.document(),
        "rolled": None if news.rolled is None else news.rolled.document(),
        "hosts": hosts,
        "shard": told,
    }


def _elsewhere(hosts: dict[str, Any] | None) -> dict[int, dict[str, Any]]:
    """Return what is known of shards that somebody or nobody runs, among several hosts."""
    if hosts is None:
        return {}
    found: dict[int, dict[str, Any]] = {}
    for host in hosts["hosts"]:
        name, live = host["name"], set(host["live"])
        for shard in host["shards"]:
            words = f"live on host {name}" if shard in live else f"host {name} runs it, and it isn't live yet"
            found[shard] = {"host": name, "reason": words}
    for shard in hosts["free"]:
        found[shard] = {"free": True, "reason": "no host runs it"}
    for shard in hosts["leases"]:
        found[int(shard)] = {"host": hosts["me"]}
    return found


def _shard(view: ShardView, at: float, known: dict[str, Any]) -> dict[str, Any]:
    pulse = view.pulse
    away = view.state is ShardState.ELSEWHERE
    return {
        "shard": view.shard,
        "state": view.state.value,
        "reason": known.get("reason", view.reason) if away else view.reason,
        "since": view.since,
        "host": known.get("host"),
        "free": away and known.get("free", False),
        "pid": view.pid,
        "restarts": view.restarts,
        "deaths": view.deaths,
        "fresh": view.is_fresh(at),
        "degraded": view.degraded,
        "latency_s": None if pulse is None else pulse.latency_s,
        "events": None if pulse is None else pulse.events,
        "event_age_s": None if pulse is None else pulse.event_age_s,
        "ack_age_s": None if pulse is None else pulse.ack_age_s,
        "resumes": None if pulse is None else pulse.resumes,
        "identifies": None if pulse is None else pulse.identifies,
        "session": None if pulse is None else pulse.session,
        "offset": None if pulse is None else pulse.offset,
        "pulse_age_s": view.pulse_age_s(at),
        "events_per_s": view.events_per_s,
        "guilds": None if pulse is None else pulse.guilds,
        "session_age_s": None if pulse is None else pulse.session_age_s,
        "memory_bytes": view.memory_bytes,
    }
