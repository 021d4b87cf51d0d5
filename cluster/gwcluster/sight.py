"""How the cluster is, as those see it who tell somebody outside of it (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gwcluster.board import Board, Counts
from gwcluster.hosts.words import is_late, silence
from gwcluster.identify.budget import UNKNOWN
from gwcluster.identify.gate import Gate
from gwcluster.identify.start import ranges
from gwcluster.wire.notices import ShardState


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How it is between several hosts.

    Attributes:
        me: this host.
        present: all hosts that were heard of lately, this one included; None: NATS doesn't answer, so nobody
            knows.
        draining: those of them that give up their shards.
        free: shards that no host runs.
        away: shards that aren't this host's to run.
        silent: what is said of NATS if it doesn't answer.
        why: what failed there.
    """

    me: str
    present: frozenset[str] | None = None
    draining: frozenset[str] = frozenset()
    free: tuple[int, ...] = ()
    away: frozenset[int] = frozenset()
    silent: str | None = None
    why: str | None = None

    @property
    def speaks(self) -> bool:
        """Whether it is this host that tells what is so for all of them, so that it is told once."""
        return self.present is not None and self.me == min(self.present, default=self.me)


@dataclass(frozen=True, slots=True)
class Sight:
    """One look.

    Attributes:
        counts: of the shards, None until their number is known.
        live: shards that are live.
        failed: shards that are given up, with the reason.
        degraded: shards whose log can't be written, with the reason.
        refused: why Discord refuses the cluster; None: it doesn't.
        exhausted: what is said of the identify budget if no shard may identify before Discord's reset.
        slowed: why permits to identify are held back although some may be spent.
        stopping: somebody asked the cluster to stop.
        neighbours: None: it runs on one host.
    """

    counts: Counts | None = None
    live: frozenset[int] = frozenset()
    failed: Mapping[int, str] = field(default_factory=dict)
    degraded: Mapping[int, str] = field(default_factory=dict)
    refused: str | None = None
    exhausted: str | None = None
    slowed: str | None = None
    stopping: bool = False
    neighbours: Neighbours | None = None


def sight(
    board: Board | None,
    gate: Gate | None,
    *,
    refused: str | None,
    stopping: bool,
    hosts: dict[str, Any] | None = None,
) -> Sight:
    """Return what is to be seen now.

    Args:
        board: the shards, None until they are known.
        gate: grants permits to identify, None until there are shards.
        refused: why Discord refuses the cluster.
        stopping: whether somebody asked it to stop.
        hosts: of the status document; None: there is one.
    """
    neighbours = None if hosts is None else _neighbours(hosts, board)
    if board is None:
        return Sight(refused=refused, stopping=stopping, neighbours=neighbours)
    views = board.views.values()
    blocked = None if gate is None or gate.budget is UNKNOWN else gate.blocked
    exhausted = blocked is not None and gate is not None and gate.budget.spendable <= 0
    return Sight(
        counts=board.counts,
        live=frozenset(view.shard for view in views if view.state is ShardState.LIVE),
        failed={view.shard: view.reason for view in views if view.state is ShardState.FAILED},
        degraded={view.shard: view.degraded for view in views if view.degraded is not None},
        refused=refused,
        exhausted=blocked if exhausted else None,
        slowed=None if exhausted else blocked,
        stopping=stopping,
        neighbours=neighbours,
    )


def _neighbours(hosts: dict[str, Any], board: Board | None) -> Neighbours:
    views = () if board is None else board.views.values()
    late = is_late(hosts)
    here = [
        host for host in hosts["hosts"] if host["seen_s"] <= hosts["lease_s"] or host["name"] == hosts["me"]
    ]
    return Neighbours(
        me=hosts["me"],
        present=None if late else frozenset(host["name"] for host in here) | {hosts["me"]},
        draining=frozenset(host["name"] for host in here if host["draining"])
        | ({hosts["me"]} if hosts["draining"] else frozenset()),
        free=() if late else tuple(hosts["free"]),
        away=frozenset(view.shard for view in views if view.state is ShardState.ELSEWHERE),
        silent=silence(hosts["nats"]) if late else None,
        why=hosts["nats"]["why"],
    )


MAX_NAMED: Final = 60
"""Characters of shard ids in one line; a cluster of hundreds may have lost every second one."""


def named(shards: Collection[int]) -> str:
    """Return shard ids as people write them, cut where they are many: `0-3, 7`, `1, 3, 5 and 97 more`."""
    parts = ranges(shards).split(", ")
    told, count = parts[0], _size(parts[0])
    for part in parts[1:]:
        if len(told) + len(part) > MAX_NAMED:
            return f"{told} and {len(shards) - count} more"
        told, count = f"{told}, {part}", count + _size(part)
    return told


def _size(part: str) -> int:
    first, _, last = part.partition("-")
    return int(last or first) - int(first) + 1


def in_words(seen: Sight) -> str:
    """Return one line for a service manager: how many shards are live, and what is wrong."""
    if seen.counts is None:
        told = "waiting for Discord to tell the shards"
    else:
        told = f"{seen.counts.ready} of {seen.counts.total} shards live"
        if (neighbours := seen.neighbours) is not None:
            told += f", {len(neighbours.away - set(neighbours.free))} elsewhere"
            told += f", run by no host: {named(neighbours.free)}" if neighbours.free else ""
        for shards, word in ((seen.failed, "failed"), (seen.degraded, "degraded")):
            if shards:
                told += f", {word}: {named(shards)}"
    if seen.refused is not None:
        told += "; Discord refuses the cluster"
    elif seen.exhausted is not None:
        told += "; identify budget used up"
    elif seen.slowed is not None:
        told += "; identifies held back"
    if seen.neighbours is not None:
        if seen.neighbours.me in seen.neighbours.draining:
            told += "; draining"
        if seen.neighbours.silent is not None:
            told += f"; {seen.neighbours.silent}"
    return f"stopping; {told}" if seen.stopping else told
