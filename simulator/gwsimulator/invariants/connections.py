"""Decides (pure): whether connections were opened, used and closed as a client must.

Sources:
    https://docs.discord.com/developers/events/gateway#initiating-a-disconnect
    https://docs.discord.com/developers/events/gateway#resuming
    https://docs.discord.com/developers/events/gateway#rate-limiting
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from gwsimulator.invariants.attachments import attachments, overlaps, stalls
from gwsimulator.ledger import Ledger
from gwsimulator.records import Identify, Resume
from gwsimulator.settings import Settings

_FRAME_BYTES: Final = 4096
"""As documented, whatever the settings let pass."""

_ENDS_SESSION: Final = frozenset({1000, 1001})


def one_connection_per_shard(ledger: Ledger) -> Iterator[str]:
    """I3: no shard (of one count) has a session on two connections at once.

    A connection on which the server had stopped is left out: the client may have dropped it unheard.
    """
    stalled = stalls(ledger)
    newest: dict[tuple[int, int], tuple[int, float]] = {}
    for one in attachments(ledger):
        link, until = newest.get(one.place, (one.link, 0.0))
        if (
            link != one.link
            and until > one.since
            and not overlaps(stalled.get(link, []), one.since, one.since)
        ):
            yield f"shard {one.place[0]} got connection {one.link} at {one.since:.3f} while {link} was open"
        if until <= one.until:
            newest[one.place] = one.link, one.until
    for resume in ledger.resumes:
        if resume.took_over is not None and not overlaps(
            stalled.get(resume.took_over, []), resume.at, resume.at
        ):
            yield f"shard {resume.shard} resumed on {resume.link} while {resume.took_over} had the session"


def resumable_closes(ledger: Ledger, *, permanent_stop: bool) -> Iterator[str]:
    """I4: a client closes with 1000 or 1001 only to stop a shard for good, and then it stays away."""
    stopped: dict[int, float] = {}
    for close in ledger.closes:
        if close.by == "client" and close.code in _ENDS_SESSION:
            if not permanent_stop:
                yield f"connection {close.link} of shard {close.shard} was closed with {close.code}"
            elif close.shard is not None:
                stopped.setdefault(close.shard, close.at)
    started: list[Identify | Resume] = [*ledger.identifies, *ledger.resumes]
    for start in started:
        if start.shard in stopped and start.at > stopped[start.shard]:
            yield f"shard {start.shard} came back at {start.at:.3f} after it was stopped for good"


def resumes_well_formed(ledger: Ledger) -> Iterator[str]:
    """I5: a RESUME has the query, the right host, its session's token, and a seq that never goes back.

    The right host is the one that READY named, or the other after a dial of it failed or ended before it
    had a session.
    """
    queries = {one.link: (one.at, one.query) for one in ledger.connections}
    failures = _resume_host_failures(ledger)
    seqs: dict[str, int] = {}
    for resume in ledger.resumes:
        dialled_at, query = queries.get(resume.link, (resume.at, {}))
        who = f"the RESUME of shard {resume.shard} at {resume.at:.3f}"
        missing = [key for key in ("v", "encoding") if key not in query]
        if missing:
            yield f"{who} came without {' and '.join(missing)} in the query"
        if resume.host == "gateway" and not any(at <= dialled_at for at in failures):
            yield f"{who} came to the host that REST names, and no dial of a resume host had failed"
        if not resume.same_token:
            yield f"{who} had another token than the session"
        if resume.seq < seqs.get(resume.session, resume.seq):
            yield f"{who} asked from {resume.seq}, after one from {seqs[resume.session]}"
        seqs[resume.session] = resume.seq


def _resume_host_failures(ledger: Ledger) -> list[float]:
    failed = [one.at for one in ledger.refused if one.host != "gateway"]
    closed = {close.link: close.at for close in ledger.closes}
    lived = {one.link for one in _resumed(ledger)} | {one.link for one in ledger.identifies if one.session}
    failed += [
        closed[one.link]
        for one in ledger.connections
        if one.host != "gateway" and one.link not in lived and one.link in closed
    ]
    return failed


def _resumed(ledger: Ledger) -> list[Resume]:
    return [one for one in ledger.resumes if one.outcome == "resumed"]


def frames_within_limits(ledger: Ledger, settings: Settings) -> Iterator[str]:
    """I6: no connection sends more than 120 messages in 60 s, or one of more than 4096 bytes."""
    recent: dict[int, deque[float]] = {}
    flooded: set[int] = set()
    for frame in ledger.frames:
        if frame.size > _FRAME_BYTES:
            yield f"connection {frame.link} sent {frame.size} bytes at {frame.at:.3f}"
        times = recent.setdefault(frame.link, deque())
        times.append(frame.at)
        while frame.at - times[0] >= settings.send_window_s:
            times.popleft()
        if len(times) > settings.send_limit and frame.link not in flooded:
            flooded.add(frame.link)
            yield (
                f"connection {frame.link} sent {len(times)} messages within {settings.send_window_s:g} s, "
                f"at {frame.at:.3f}"
            )
