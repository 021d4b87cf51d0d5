"""Decides (pure): whether heartbeats came when they had to and said what they had to.

Source: https://docs.discord.com/developers/events/gateway#sending-heartbeats
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from gwsimulator.invariants.attachments import Attachment, attachments, overlaps, stalls
from gwsimulator.ledger import Ledger
from gwsimulator.records import Beat, Hello


def beats_on_time(ledger: Ledger, *, slack_s: float, lag_s: float, until: float | None) -> Iterator[str]:
    """I7: beats follow HELLO and each other within the interval, with the last dispatch's number.

    Gaps during which the server did not read are left out, and so are dispatches younger than `lag_s`.
    """
    beats: dict[int, list[Beat]] = {}
    for beat in ledger.beats:
        beats.setdefault(beat.link, []).append(beat)
    closed = {close.link: close.at for close in ledger.closes}
    end = newest(ledger) if until is None else until
    stalled = stalls(ledger)
    for link, hello in {hello.link: hello for hello in reversed(ledger.hellos)}.items():
        times = [beat.at for beat in beats.get(link, [])]
        spans = stalled.get(link, [])
        yield from _gaps(hello, times, closed.get(link, end), spans, slack_s)
    yield from _numbers(ledger, beats, stalled, lag_s)


def _gaps(
    hello: Hello, times: list[float], end: float, stalled: list[tuple[float, float]], slack_s: float
) -> Iterator[str]:
    before = hello.at
    for at in [*times, end]:
        if at - before > hello.interval_s + slack_s and not overlaps(stalled, before, at):
            since = "HELLO" if before == hello.at else "the beat before"
            yield (
                f"connection {hello.link} had no beat for {at - before:.3f} s since {since}, at {at:.3f};"
                f" the interval is {hello.interval_s:g} s"
            )
        before = at


def _numbers(
    ledger: Ledger, beats: dict[int, list[Beat]], stalled: dict[int, list[tuple[float, float]]], lag_s: float
) -> Iterator[str]:
    times: dict[str, list[float]] = {}
    seqs: dict[str, list[int]] = {}
    for dispatch in ledger.dispatches():
        times.setdefault(dispatch.session, []).append(dispatch.at)
        seqs.setdefault(dispatch.session, []).append(dispatch.seq)
    for one in attachments(ledger):
        for beat in beats.get(one.link, []):
            since = beat.at - lag_s
            if beat.session != one.session or overlaps(stalled.get(one.link, []), since, beat.at):
                continue
            least = _least(one, since, times.get(one.session, []), seqs.get(one.session, []))
            if least is not None and (beat.seq is None or beat.seq < least):
                yield (
                    f"the beat of shard {one.place[0]} at {beat.at:.3f} said {beat.seq}, "
                    f"and {least} had been delivered {lag_s:g} s before"
                )


def _least(one: Attachment, since: float, times: list[float], seqs: list[int]) -> int | None:
    """Return the number that a beat has to say at least: what was delivered by `since`."""
    if since < one.since:
        return one.resumed_from
    count = bisect.bisect_right(times, since)
    return seqs[count - 1] if count else None


def newest(ledger: Ledger) -> float:
    """Return the time of the newest record but dispatches; 0 when there is none."""
    records = (
        ledger.connections,
        ledger.hellos,
        ledger.frames,
        ledger.closes,
        ledger.rest_calls,
        ledger.violations,
    )
    return max((some[-1].at for some in records if some), default=0.0)
