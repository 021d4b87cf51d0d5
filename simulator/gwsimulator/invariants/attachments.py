"""Decides (pure): which connection had which session when, from the ledger."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gwsimulator.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Attachment:
    """A connection with a session, from its IDENTIFY or RESUME to its close or the next on it."""

    link: int
    session: str
    place: tuple[int, int]
    """Shard id and shard count."""
    since: float
    until: float
    """Infinity: still open."""
    resumed_from: int | None
    """The seq of its RESUME; None: it identified."""


def attachments(ledger: Ledger) -> list[Attachment]:
    """Return every attachment, by their beginnings."""
    closed = {close.link: close.at for close in ledger.closes}
    places = {
        one.session: (one.shard, one.shards)
        for one in ledger.identifies
        if one.session is not None and one.shard is not None and one.shards is not None
    }
    began: list[tuple[float, int, str, int | None]] = [
        (one.at, one.link, one.session, None) for one in ledger.identifies if one.session in places
    ]
    began += [
        (one.at, one.link, one.session, one.seq)
        for one in ledger.resumes
        if one.outcome == "resumed" and one.session in places
    ]
    began.sort(key=lambda one: one[0])
    found: list[Attachment] = []
    ends: dict[int, float] = {}
    for at, link, session, seq in reversed(began):
        until = ends.get(link, closed.get(link, math.inf))
        found.append(Attachment(link, session, places[session], at, until, seq))
        ends[link] = at
    found.reverse()
    return found


def stalls(ledger: Ledger) -> dict[int, list[tuple[float, float]]]:
    """Return for each connection from when to when the server did not read or write on it."""
    found: dict[int, list[tuple[float, float]]] = {}
    for stall in ledger.stalls:
        spans = found.setdefault(stall.link, [])
        if spans and spans[-1][1] == math.inf:
            spans[-1] = spans[-1][0], stall.at
        if stall.stalled:
            spans.append((stall.at, math.inf))
    return found


def overlaps(spans: list[tuple[float, float]], since: float, until: float) -> bool:
    """Say whether any of the spans touches the time from `since` to `until`."""
    return any(first <= until and last >= since for first, last in spans)
