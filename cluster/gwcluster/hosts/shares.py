"""Which shards a host should claim or give up, by what every host sees (pure).

A host's share is ceil(shards / hosts that stay). Free shards go to the hosts with the fewest, so that each
host works out the same without asking; a claim is a create, so that where they see differently, one just
comes too late. What a host has beyond its share it gives up one at a time, and the next only when the
whole cluster is at rest again. So a host that comes (back) is a spare at first, which others' give-ups fill.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """A host that is there. Attributes: `since`: monotonic moment (s), by our clock, at which it came."""

    since: float
    draining: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """How the hosts are, as one of them sees it.

    Attributes:
        hosts: those that are there, by name.
        holders: who holds the lease of each shard; a shard that is missing is free.
        unready: shards that are free or not live, with the monotonic moment (s) since when they are so with
            this holder.
        changed_at: the monotonic moment (s) of the last change of hosts, of holders or of what is live.
    """

    hosts: Mapping[str, Host]
    holders: Mapping[int, str]
    unready: Mapping[int, float]
    changed_at: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds.

    Attributes:
        settle_s: how long after a host came others give nothing up for it, and as long as no host has
            been there for so long nobody claims: hosts that start together then don't shuffle.
        patience_s: how long a shard may take to be live again before the next one moves, and to be claimed
            by whose turn it is before others claim it.
        stagger_s: of several hosts over their share, each waits so much longer than the one before it.
    """

    settle_s: float
    patience_s: float
    stagger_s: float


@dataclass(frozen=True, slots=True)
class Moves:
    """What a host does now: shards that it claims, and the one that it gives up, if any."""

    claim: tuple[int, ...] = ()
    give_up: int | None = None


def share(shards: int, hosts: int) -> int:
    """Return how many of so many shards one of so many hosts has at most; 0 of no host."""
    return -(-shards // hosts) if hosts else 0


def moves(
    view: View, *, me: str, shards: Collection[int], giving: Collection[int], now: float, pace: Pace
) -> Moves:
    """Return what host `me` does at monotonic `now` (s).

    Args:
        view: as `me` sees it; `me` is among its hosts, or nothing is done.
        shards: all of the cluster.
        giving: those that `me` is giving up already; it holds their leases still.
    """
    if me not in view.hosts:
        return Moves()
    loads = Counter(dict.fromkeys(view.hosts, 0))
    loads.update(holder for shard, holder in view.holders.items() if shard in shards)
    if view.hosts[me].draining:
        return Moves((), _surplus(view, me, shards, giving, loads, now, pace))
    claimed = _claims(view, me, shards, loads, now, pace)
    return Moves(claimed, None if claimed else _surplus(view, me, shards, giving, loads, now, pace))


def _claims(
    view: View, me: str, shards: Collection[int], loads: Counter[str], now: float, pace: Pace
) -> tuple[int, ...]:
    if all(now < host.since + pace.settle_s for host in view.hosts.values()):
        return ()
    staying = sorted(name for name, host in view.hosts.items() if not host.draining)
    most = share(len(shards), len(staying))
    loads = loads.copy()
    mine: list[int] = []
    overdue: list[int] = []
    for shard in sorted(set(shards) - view.holders.keys()):
        below = [name for name in staying if loads[name] < most]
        if not below:
            break
        turn = min(below, key=lambda name: (loads[name], name))
        loads[turn] += 1
        if turn == me:
            mine.append(shard)
        elif now >= view.unready.get(shard, now) + pace.patience_s:
            overdue.append(shard)
    return (*mine, *overdue[: max(0, most - loads[me])])


def _surplus(
    view: View,
    me: str,
    shards: Collection[int],
    giving: Collection[int],
    loads: Counter[str],
    now: float,
    pace: Pace,
) -> int | None:
    over = _over(view, len(shards), loads, now, pace)
    if me not in over or giving:
        return None
    if any(now < since + pace.patience_s for shard, since in view.unready.items() if shard in shards):
        return None
    settled = [at for host in view.hosts.values() if (at := host.since + pace.settle_s) <= now]
    if now < max([view.changed_at, *settled]) + over.index(me) * pace.stagger_s:
        return None
    return max(shard for shard, holder in view.holders.items() if holder == me and shard in shards)


def _over(view: View, shards: int, loads: Counter[str], now: float, pace: Pace) -> list[str]:
    """Return the hosts that have more than their share, first to give up first."""
    staying = {name for name, host in view.hosts.items() if not host.draining}
    settled = {name for name in staying if now >= view.hosts[name].since + pace.settle_s}
    excess: dict[str, int] = {}
    for name, host in view.hosts.items():
        if host.draining:
            excess[name] = loads[name] if staying else 0  # with nobody to take over, shards stay up
        else:
            excess[name] = loads[name] - share(shards, len(settled | {name}))
    over = [name for name, count in excess.items() if count > 0]
    return sorted(over, key=lambda name: (not view.hosts[name].draining, -excess[name], name))
