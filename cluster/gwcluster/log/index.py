"""Where a segment's offsets stand in its file, sparsely (pure)."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from gwcluster.log.record import EVENT, HOLE, Ending, Entry, entry_at, hole_end
from gwcluster.log.salvage import in_order, whole_records
from gwcluster.log.segments import MAX_OFFSET

MARK_BYTES: Final = 32 << 10
"""How far apart marks are: what a question reads in vain at most, unless a single record is longer."""


class Run:
    """Records that follow each other, in the file and by their offsets, with a mark now and then.

    Attributes:
        first, place: offset with which it begins, and where in the file.
        next, end: offset that would follow, and where.
    """

    __slots__ = ("_offsets", "_places", "end", "first", "next", "place")

    def __init__(self, first: int, place: int) -> None:
        self.first = self.next = first
        self.place = self.end = place
        self._offsets = array("Q", [first])
        self._places = array("Q", [place])

    def add(self, entry: Entry, following: int, place: int, end: int) -> None:
        """Go on by an event or hole that begins at `place`, with the offset that follows it."""
        if place - self._places[-1] >= MARK_BYTES:
            self._offsets.append(entry.offset)
            self._places.append(place)
        self.next, self.end = following, end

    def mark(self, offset: int) -> tuple[int, int]:
        """Return the last mark that isn't behind `offset`: its offset and place."""
        at = max(0, bisect_right(self._offsets, offset) - 1)
        return self._offsets[at], self._places[at]


class Index:
    """The runs of one segment, in order; a healthy one has one run at most.

    Args:
        first: offset in the segment's name; smaller ones are not its own.
        upper: offset with which the next segment begins; neither are those from there on.
        epoch: of the log; an event's header names it.
        begin: where the first record after the start is, or 0 if the start is unreadable.

    Attributes:
        end: place behind the last whole record that was found.
    """

    def __init__(self, first: int, upper: int, epoch: str, begin: int) -> None:
        self.first = first
        self.upper = upper
        self.epoch = epoch.encode()
        self.runs: list[Run] = []
        self.end = begin

    @property
    def next(self) -> int:
        """The offset that would follow."""
        return self.runs[-1].next if self.runs else self.first

    def grow(self, data: bytes) -> Ending | None:
        """Take what stands in the file from `end` on, as far as it follows; return why it ends.

        None: a record that is whole, but not the one that follows.
        """
        begin = self.end
        run = self.runs[-1] if self.runs and self.runs[-1].end == begin else None
        walk = Walk(data, self.epoch, self.next, self.upper)
        for entry in walk:
            if run is None:
                run = Run(entry.offset, begin + walk.begin)
                self.runs.append(run)
            run.add(entry, walk.next, begin + walk.begin, begin + walk.place)
        self.end = begin + walk.place
        if run is not None:
            run.end = self.end
        return walk.ending

    def examine(self, data: bytes) -> None:
        """Find all that stands where it belongs in `data`, the whole file."""
        found: list[tuple[int, Entry, int]] = []
        for place, entry in whole_records(data):
            self.end = entry.end
            following = _following(entry, data)
            if following is None or not self.first <= entry.offset < following <= self.upper:
                continue
            if entry.kind == HOLE or data.find(self.epoch, entry.header, entry.payload) >= 0:
                found.append((place, entry, following))
        self.runs = []
        for at in in_order([(entry.offset, following - 1) for _, entry, following in found]):
            place, entry, following = found[at]
            last = self.runs[-1] if self.runs else None
            if last is None or (last.next, last.end) != (entry.offset, place):
                last = Run(entry.offset, place)
                self.runs.append(last)
            last.add(entry, following, place, entry.end)


class Walk:
    """Iterates over the events and holes at the beginning of `data`, as long as each follows the one before.

    Attributes:
        begin: where the last one that was given out begins.
        place: behind the last record that followed.
        next: the offset that would follow.
        ending: why it stopped; None: by a record that doesn't follow.
    """

    __slots__ = ("_data", "_epoch", "_upper", "begin", "ending", "next", "place")

    def __init__(self, data: bytes, epoch: bytes, expected: int, upper: int = MAX_OFFSET) -> None:
        self.begin = self.place = 0
        self.next = expected
        self.ending: Ending | None = None
        self._data = data
        self._epoch = epoch
        self._upper = upper

    def __iter__(self) -> Iterator[Entry]:
        data, size, epoch = self._data, len(self._data), self._epoch
        while self.place < size:
            entry = entry_at(data, self.place)
            if isinstance(entry, Ending):
                self.ending = entry
                return
            following = entry.offset + 1 if entry.kind == EVENT else _following(entry, data)
            if following is None:
                self.place = entry.end
                continue
            if entry.offset != self.next or following > self._upper:
                return
            if entry.kind == EVENT and data.find(epoch, entry.header, entry.payload) < 0:
                return
            self.begin, self.place, self.next = self.place, entry.end, following
            yield entry
        self.ending = Ending.WHOLE


def _following(entry: Entry, data: bytes) -> int | None:
    """Return the offset after an event or hole, None for what has no offset."""
    if entry.kind == EVENT:
        return entry.offset + 1
    return hole_end(data[entry.payload : entry.end]) + 1 if entry.kind == HOLE else None
