"""Decides (pure): whether a client left Discord alone after it was told to.

Source: https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gwsimulator.ledger import Ledger
from gwsimulator.records import Close, Identify, Resume

_FOR_ALL: Final = frozenset({4004, 4012, 4013, 4014})
_FOR_COUNT: Final = frozenset({4011})
_FOR_SHARD: Final = frozenset({4010})
_IN_FLIGHT_S: Final = 1.0
"""What other shards may still send before they are told."""


def silence_after_fatal(ledger: Ledger) -> Iterator[str]:
    """I12: after a close code that forbids a reconnect, the refused shard stays away.

    After one that concerns all of the cluster no shard identifies any more, and a connection that does not
    resume is one too many; shards that were running may resume.
    """
    started: list[Identify | Resume] = [*ledger.identifies, *ledger.resumes]
    asked = {one.link: one for one in started}
    for close in ledger.closes:
        if close.by != "server" or close.code not in _FOR_ALL | _FOR_COUNT | _FOR_SHARD:
            continue
        for connection in ledger.connections:
            if connection.at <= close.at:
                continue
            begun = asked.get(connection.link)
            if _forbidden(ledger, close, begun, connection.at):
                what = type(begun).__name__.upper() if begun else "a connection"
                shard = begun.shard if begun else None
                yield f"{what} of shard {shard} at {connection.at:.3f}, after {close.code} at {close.at:.3f}"
        for refused in ledger.refused:
            if close.code in _FOR_ALL and refused.at > close.at + _IN_FLIGHT_S:
                yield f"a dial at {refused.at:.3f}, after {close.code} at {close.at:.3f}"


def _forbidden(ledger: Ledger, close: Close, begun: Identify | Resume | None, at: float) -> bool:
    if begun is None:
        return close.code in _FOR_ALL and at > close.at + _IN_FLIGHT_S
    if begun.shard is not None and begun.shard == close.shard:
        return close.code in _FOR_ALL or _count(ledger, close.link) in (None, _of(begun))
    if isinstance(begun, Resume):
        return False
    if close.code in _FOR_ALL:
        return begun.at > close.at + _IN_FLIGHT_S
    return (
        close.code in _FOR_COUNT and begun.shards is not None and begun.shards == _count(ledger, close.link)
    )


def _count(ledger: Ledger, link: int) -> int | None:
    """Return the shard count with which a connection identified."""
    return next((one.shards for one in ledger.identifies if one.link == link), None)


def _of(begun: Identify | Resume) -> int | None:
    return begun.shards if isinstance(begun, Identify) else None
