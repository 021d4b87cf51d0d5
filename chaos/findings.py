"""What several hosts did with their shards and identifies, in figures (pure)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaos.notes import Noted, Sent
from gwsimulator.invariants import Tenure
from gwsimulator.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Silence:
    """The longest time in which a subscriber had nothing new of a shard.

    Attributes:
        seconds: how long.
        since: monotonic seconds at which it began.
        latest_s: how long after it was sent the latest of all events came.
    """

    seconds: float
    since: float
    latest_s: float


def silences(
    noted: Iterable[Noted | None], truth: Mapping[int, Sequence[Sent]], *, since: float
) -> dict[int, Silence]:
    """Return each shard's longest silence, of dispatches that came for the first time.

    Args:
        since: monotonic seconds; what came before, while everything started, is left out, and who had
            something of a shard by then had it until then.
    """
    sent = {(shard, one.session, one.seq): one.at for shard, all_sent in truth.items() for one in all_sent}
    found: dict[int, Silence] = {}
    last: dict[int, float] = {}
    for one in noted:
        if one is None or one.seq is None:
            continue
        if one.at < since:
            last[one.shard] = since
            continue
        at = sent.pop((one.shard, one.session, one.seq), None)
        if at is None:
            continue
        was = found.get(one.shard, Silence(0.0, one.at, 0.0))
        began = last.get(one.shard, one.at)
        latest_s = max(was.latest_s, one.at - at)
        if one.at - began > was.seconds:
            found[one.shard] = Silence(one.at - began, began, latest_s)
        else:
            found[one.shard] = Silence(was.seconds, was.since, latest_s)
        last[one.shard] = one.at
    return found


def origins(ledger: Ledger) -> dict[int, str]:
    """Return from which address each connection came."""
    return {one.link: one.origin for one in ledger.connections}


def identify_lines(ledger: Ledger, max_concurrency: int, name: Callable[[str], str]) -> list[str]:
    """Return lines about IDENTIFYs: how many from each host, and for each key the two that were closest.

    Args:
        name: makes a host's name of its address.
    """
    came = origins(ledger)
    hosts = Counter(name(came.get(one.link, "")) for one in ledger.identifies)
    lines = [
        f"IDENTIFYs {len(ledger.identifies)}: " + ", ".join(f"{h} {n}" for h, n in sorted(hosts.items()))
    ]
    keys: dict[int, list[tuple[float, str]]] = {}
    for one in ledger.identifies:
        if one.shard is not None:
            where = name(came.get(one.link, ""))
            keys.setdefault(one.shard % max_concurrency, []).append((one.at, where))
    for key, moments in sorted(keys.items()):
        pairs = list(itertools.pairwise(moments))
        if pairs:
            (at, where), (then, there) = min(pairs, key=lambda pair: pair[1][0] - pair[0][0])
            lines.append(
                f"  key {key}: {len(moments)}, the closest {then - at:.3f} s apart, {where} and {there}"
            )
    return lines


def moves(tenures: Sequence[Tenure]) -> dict[int, list[Tenure]]:
    """Return for each shard the first connection of each time that another host took it over."""
    found: dict[int, list[Tenure]] = {}
    for one in tenures:
        before = found.setdefault(one.shard, [])
        if not before or before[-1].origin != one.origin:
            before.append(one)
    return found
