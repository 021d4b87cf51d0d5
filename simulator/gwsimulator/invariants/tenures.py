"""Decides (pure): which machine had which shard when, and whether two ever had one at once.

A machine *has* a shard from the opening of each connection on which it identifies or resumes, whatever comes
of that, until it lets go of the connection. For the ledger that is the connection's end. When its bytes are
kept from the gateway, the ledger hears of no end, and somebody between the two has to tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gwsimulator.invariants.attachments import overlaps
from gwsimulator.ledger import Ledger

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tenure:
    """One connection for a shard, from its opening to the moment when its client had let go of it.

    Attributes:
        began: when it was opened, before anybody could know for which shard.
        asked: when it identified or resumed, first.
        ended: infinity: it is open.
        how: what it asked and what came of it, e.g. `RESUME resumed`.
    """

    shard: int
    origin: str
    link: int
    began: float
    asked: float
    ended: float
    how: str


def tenures(ledger: Ledger, gone: Mapping[int, float]) -> list[Tenure]:
    """Return every connection that was for a shard, by their beginnings.

    Args:
        gone: for some connections, when their client let go of them; counts if the ledger knows no earlier
            end.
    """
    ends = {one.link: one.at for one in ledger.closes}
    for link, at in gone.items():
        ends[link] = min(at, ends.get(link, at))
    asked = [(one.at, one.link, one.shard, f"IDENTIFY {one.outcome}") for one in ledger.identifies]
    asked += [(one.at, one.link, one.shard, f"RESUME {one.outcome}") for one in ledger.resumes]
    connections = {one.link: one for one in ledger.connections}
    found: dict[int, Tenure] = {}
    for at, link, shard, how in sorted(asked, key=lambda one: one[0]):
        if shard is not None and link in connections and link not in found:
            opened = connections[link]
            found[link] = Tenure(shard, opened.origin, link, opened.at, at, ends.get(link, math.inf), how)
    return sorted(found.values(), key=lambda one: one.began)


def one_machine_per_shard(
    ledger: Ledger, *, gone: Mapping[int, float], away: Mapping[str, Sequence[Span]]
) -> Iterator[str]:
    """I13: nobody opens a connection for a shard while another machine has one for it.

    Args:
        gone: as for `tenures`.
        away: when the processes of a machine (by its address) could do nothing, because all of them were
            stopped: what others do then is no fault, since it can't let go of anything.
    """
    held: dict[int, list[Tenure]] = {}
    for one in tenures(ledger, gone):
        before = [other for other in held.get(one.shard, []) if other.ended > one.began]
        for other in before:
            stopped = list(away.get(other.origin, ()))
            if other.origin != one.origin and not overlaps(stopped, one.began, one.began):
                yield (
                    f"shard {one.shard} was dialled from {one.origin} at {one.began:.3f}"
                    f" (connection {one.link}) while {other.origin} had connection {other.link}"
                    f" since {other.began:.3f}"
                )
        held[one.shard] = [*before, one]
