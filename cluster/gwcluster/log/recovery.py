"""From the files that a writer left behind, however it ended, to where the next one goes on (does)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gwcluster.errors import LogError
from gwcluster.log.record import CLOSED, EVENT, Ending, Scan
from gwcluster.log.segments import MAX_OFFSET, Segment, list_segments, remove_unfinished
from gwcluster.log.state import State, decode_start

SKIP: Final = 1 << 30
"""How many offsets are passed over when it isn't known how many were published after the last record: more
than a shard publishes in days, so that none is used twice; few enough that 2**53 stays out of reach."""

UNRECORDED_MODE: Final = 0o400
"""Mode of a segment after whose end events were published that it doesn't hold (normally 0600). A full disk
takes no record, but it takes this."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where to go on.

    Attributes:
        state: as of the last good record, or after the offsets that were passed over.
        segments: what is in the folder, oldest first.
        good_bytes: the newest segment goes on after this many bytes; None: begin a new one.
    """

    state: State
    segments: list[Segment]
    good_bytes: int | None


def recover(folder: Path, *, shard: int, shards: int, boot: str) -> Recovered | None:
    """Return where the log in `folder` goes on, or None when it starts anew (it is empty then).

    Only the holder of the lock may call this: what is of no use is removed.

    Raises:
        LogError: a newer gwcluster wrote the log, or there are no offsets left.
        OSError: the folder can't be read.
    """
    remove_unfinished(folder)
    segments = list_segments(folder)
    unreadable = 0
    for segment in reversed(segments):
        found = _read(segment)
        if found is None:
            _log.warning("the beginning of segment %s is unreadable; using the one before", segment.path)
            unreadable += 1
            continue
        if (found.state.shard, found.state.shards) != (shard, shards):
            _log.info(
                "the log in %s was shard %d of %d; starting anew",
                folder,
                found.state.shard,
                found.state.shards,
            )
            break
        return _go_on(found, segments, boot, unreadable=unreadable > 0)
    for segment in segments:
        segment.path.unlink()
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    segment: Segment
    state: State
    good_bytes: int
    ending: Ending
    closed: bool


def _read(segment: Segment) -> _Found | None:
    """Return what a segment tells, or None when its first record is unreadable."""
    data = segment.path.read_bytes()
    scan = Scan(data)
    entries = iter(scan)
    first = next(entries, None)
    state = None if first is None else decode_start(first, data)
    if state is None or state.next_offset != segment.first:  # a segment under another's name is nobody's
        return None
    last = first
    for last in entries:
        if (
            last.kind == EVENT and last.offset != state.next_offset
        ):  # good in itself, but not where it belongs
            return _Found(segment, state, scan.end, Ending.DAMAGED, closed=False)
        state.apply(last, data)
    assert scan.ending is not None, "an exhausted scan has an ending"
    assert last is not None, "there was a first record"
    return _Found(segment, state, scan.end, scan.ending, last.kind == CLOSED)


def _go_on(found: _Found, segments: list[Segment], boot: str, *, unreadable: bool) -> Recovered:
    state = found.state
    rebooted = state.boot != boot
    state.boot = boot
    reasons = {
        "damaged": unreadable or found.ending is Ending.DAMAGED,
        "last written while the disk refused": found.segment.path.stat().st_mode & 0o777 == UNRECORDED_MODE,
        "not closed before the machine went down": rebooted and not found.closed,
    }
    for reason, applies in reasons.items():
        if applies:
            _log.warning("log segment %s: %s; its last events may be missing", found.segment.path, reason)
    damaged = any(reasons.values())
    if damaged:
        state.skip_to(max(state.next_offset, segments[-1].first) + SKIP)
    if state.next_offset >= MAX_OFFSET:
        folder = found.segment.path.parent
        raise LogError(f"the log in {folder} would go on at offset {state.next_offset}: remove it")
    return Recovered(state, segments, good_bytes=None if damaged or rebooted else found.good_bytes)
