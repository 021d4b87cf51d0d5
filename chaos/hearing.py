"""Whether every subscriber hears every shard, and what each had of what there was (does)."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Mapping, Sequence

from chaos.listeners import Listeners
from chaos.notes import Noted, Sent, compare
from chaos.plan import RARE
from gwsimulator import ThreadedSimulator


def let_all_hear(
    listeners: Listeners, sim: ThreadedSimulator, shards: Iterable[int], seconds: float
) -> dict[int, int]:
    """Send events on every shard until everybody has one from now; return the seqs of now."""
    shards = list(shards)
    deadline = time.monotonic() + seconds
    marks = {shard: last_seq(sim, shard) for shard in shards}
    while True:
        for shard in shards:
            if last_seq(sim, shard):
                sim.emit(RARE, {"guild_id": "1", "role": {"id": "1"}}, shard=shard)
        time.sleep(0.5)
        if not (late := deaf(listeners, marks)):
            return marks
        if time.monotonic() > deadline:
            print(f"after {seconds:g} s not everybody hears every shard:\n  " + "\n  ".join(late), flush=True)
            return marks


def deaf(listeners: Listeners, marks: Mapping[int, int]) -> list[str]:
    """Return who hasn't had anything beyond these seqs, in words."""
    return [
        f"{role.title}: shard {shard} at seq {had}, not beyond {marks[shard]}"
        for at, role in enumerate(listeners.roles)
        for shard in role.shards
        if (had := listeners.had(at, shard)) <= marks[shard]
    ]


def last_seq(sim: ThreadedSimulator, shard: int) -> int:
    """Return the newest seq of a shard, 0 if it never had a session."""
    return next((one.seq for one in reversed(sim.ledger.dispatches(shard=shard))), 0)


def truth_of(sim: ThreadedSimulator, shard: int, upto: int) -> list[Sent]:
    """Return what was sent on a shard, up to this seq of its last session."""
    sessions: dict[str, int] = {}
    found = [
        (sessions.setdefault(one.session, len(sessions) + 1), one)
        for one in sim.ledger.dispatches(shard=shard)
    ]
    return [
        Sent(one.name, number, one.seq, zlib.crc32(one.payload or b""), one.at)
        for number, one in found
        if number < len(sessions) or one.seq <= upto
    ]


def until(noted: Sequence[Noted | None], upto: Mapping[int, int]) -> list[Noted | None]:
    """Leave out what was sent when nobody waited for it any more."""
    return [one for one in noted if one is None or one.seq is None or one.seq <= upto[one.shard]]


def print_tallies(
    listeners: Listeners,
    truth: Mapping[int, Sequence[Sent]],
    upto: Mapping[int, int],
    *,
    whole: bool = False,
) -> int:
    """Print a line for each subscriber; return how much is wrong.

    Args:
        whole: they were there before the first event.
    """
    print(
        f"{'subscriber':<24}{'starts':>7}{'events':>9}{'lost':>6}{'doubled':>9}{'out of order':>14}"
        f"{'changed':>9}{'gaps':>6}{'again':>7}"
    )
    faults = 0
    for at, role in enumerate(listeners.roles):
        mine = {shard: truth[shard] for shard in role.shards}
        tally = compare(until(listeners.noted(at), upto), mine, role.names, whole=whole)
        faults += tally.faults
        print(
            f"{role.title:<24}{listeners.services[at].starts:>7}{tally.events:>9}{tally.lost:>6}"
            f"{tally.doubled:>9}{tally.disordered:>14}{tally.changed:>9}{tally.gaps:>6}{tally.again:>7}"
        )
        for example in tally.examples:
            print(f"    {example}")
    return faults
