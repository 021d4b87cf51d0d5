"""Decides (pure): whether a client left Discord alone after it was told to.

Source: https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gwsimulator.ledger import Ledger
from gwsimulator.records import Close, Identify, Resume

_FOR_ALL: Final = frozenset({4004, 4012, 4013, 4014})
_FOR_SHARD: Final = frozenset({4010, 4011})
_IN_FLIGHT_S: Final = 1.0
"""What other shards may still send before they are told."""


def silence_after_fatal(ledger: Ledger) -> Iterator[str]:
    """I12: after a close code that forbids a reconnect, the refused shard stays away.

    After one that concerns all of the cluster no shard identifies any more; those that had a session may
    resume it. If there were none, nobody dials at all. 4010 and 4011 concern one shard of one count: others
    may hold fewer guilds, and another count is what Discord asks for.
    """
    links = {one.link for one in ledger.identifies} | {one.link for one in ledger.resumes}
    dials = [one.at for one in ledger.connections if one.link not in links]
    dials += [one.at for one in ledger.refused if one.status is not None]
    shards = {one.session: one.shard for one in ledger.identifies if one.session is not None}
    started: list[tuple[Identify | Resume, int | None]] = [(one, one.shard) for one in ledger.identifies]
    started += [(one, shards.get(one.session, one.shard)) for one in ledger.resumes]
    told: set[str] = set()
    for close in ledger.closes:
        if close.by != "server" or close.code not in _FOR_ALL | _FOR_SHARD:
            continue
        count = next((one.shards for one in ledger.identifies if one.link == close.link), None)
        late = [
            f"{type(one).__name__.upper()} of shard {shard} at {one.at:.3f}"
            for one, shard in started
            if one.at > close.at and _is_forbidden(one, shard, close, count)
        ]
        if close.code in _FOR_ALL and not _others_lived(ledger, close):
            late += [f"a dial at {at:.3f}" for at in dials if at > close.at + _IN_FLIGHT_S]
        for what in late:
            if what not in told:
                told.add(what)
                yield f"{what}, after {close.code} of shard {close.shard} at {close.at:.3f}"


def _is_forbidden(start: Identify | Resume, shard: int | None, close: Close, count: int | None) -> bool:
    same_count = isinstance(start, Resume) or count is None or start.shards == count
    if shard is not None and shard == close.shard and (same_count or close.code in _FOR_ALL):
        return True
    if isinstance(start, Resume):
        return False
    return close.code in _FOR_ALL and start.at > close.at + _IN_FLIGHT_S


def _others_lived(ledger: Ledger, close: Close) -> bool:
    """Say whether another shard had a session by then."""
    return any(
        one.session is not None and one.shard != close.shard and one.at <= close.at
        for one in ledger.identifies
    )
