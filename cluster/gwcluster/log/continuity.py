"""Whether the records of a log follow each other as a writer writes them (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gwcluster.errors import WireError
from gwcluster.log.record import EVENT, HOLE, START, Entry, hole_end
from gwcluster.log.state import State
from gwcluster.wire.events import decode_header


@dataclass(frozen=True, slots=True)
class Remark:
    """What was found, and what that means for whoever runs the cluster.

    Attributes:
        damage: this isn't how a writer leaves a log, whatever interrupts it.
    """

    damage: bool
    what: str
    means: str


class Continuity:
    """Follows a log from the start of its oldest segment on.

    Attributes:
        state: as of the last record that was taken; None before the first start.
        events: so many were in order.
        missing: so many offsets are not in the log.
    """

    def __init__(self) -> None:
        self.state: State | None = None
        self.events = 0
        self.missing = 0
        self._lost: tuple[int, int] | None = None
        self._doubted = False  # what the names' last offsets are isn't known since

    def begin(self, start: State) -> Iterator[Remark]:
        """Take the first record of a segment; there may have been damage before it."""
        was, self.state = self.state, replace(start, last_offsets=dict(start.last_offsets))
        if was is None:
            return
        if (was.epoch, was.shard, was.shards) != (start.epoch, start.shard, start.shards):
            yield Remark(True, "the segment is of another log", "it isn't read; move it away")
            self.state = was
            return
        if start.next_offset < was.next_offset:
            yield Remark(
                True,
                f"it begins at offset {start.next_offset}, the one before ends with {was.next_offset - 1}",
                "two writers gave the same offsets away; only one of each two is read",
            )
            return
        if start.next_offset > was.next_offset:
            yield self._gap(was.next_offset, start.next_offset - 1, told=start.floor == start.next_offset - 1)
        elif not self._doubted and was.last_offsets != start.last_offsets:
            yield Remark(
                True,
                "the names' last offsets at its beginning aren't those at the end of the one before",
                "who follows single names may see a gap that is none, or miss one",
            )
        self._doubted = False

    def damaged(self) -> None:
        """What comes next may not follow: bytes were passed over."""
        self._doubted = True

    def take(self, entry: Entry, data: bytes) -> Iterator[Remark]:
        """Take a record that isn't the first in its segment."""
        state = self.state
        if entry.kind == START:
            yield Remark(True, "a start stands amid a segment", "it is passed over; no event is lost")
        elif state is None or entry.kind not in {EVENT, HOLE}:
            if state is not None:
                state.apply(entry, data)
        elif entry.offset < state.next_offset:
            yield Remark(
                True,
                f"offset {entry.offset} stands where {state.next_offset} belongs",
                "a record that was moved or repeated; it is given out once at most",
            )
        else:
            if entry.offset > state.next_offset:
                yield self._gap(state.next_offset, entry.offset - 1, told=False)
            if entry.kind == HOLE:
                last = hole_end(data[entry.payload : entry.end])
                self.missing += last + 1 - entry.offset
                yield Remark(
                    False,
                    f"{_offsets(entry.offset, last)} published while the disk refused, and forgotten",
                    "subscribers that missed it are told of a gap",
                )
            else:
                self.events += 1
                yield from self._header(state, entry, data)
            state.apply(entry, data)

    def _header(self, state: State, entry: Entry, data: bytes) -> Iterator[Remark]:
        try:
            header = decode_header(data[entry.header : entry.payload])
        except WireError as error:
            yield Remark(True, f"the header of offset {entry.offset}: {error}", "subscribers drop the event")
            return
        if (header.epoch, header.offset) != (state.epoch, entry.offset):
            yield Remark(
                True,
                f"the header at offset {entry.offset} is of offset {header.offset} of epoch {header.epoch}",
                "an event of another log or place; it isn't given out",
            )
            return
        name = data[entry.name : entry.header].decode("ascii")
        prev = state.last_offsets.get(name, state.floor)
        lost = self._lost
        if header.prev != prev and not (
            lost is not None and header.prev is not None and lost[0] <= header.prev <= lost[1]
        ):
            yield Remark(
                True,
                f"`prev` of {name} at offset {entry.offset} is {header.prev}; its last event is at {prev}",
                "who follows this name sees a gap that is none, or misses one",
            )

    def _gap(self, first: int, last: int, *, told: bool) -> Remark:
        self.missing += last + 1 - first
        self._doubted = True
        self._lost = (first if self._lost is None else self._lost[0], last)
        if told:
            return Remark(
                False,
                f"{_offsets(first, last)} passed over: nobody knew how many had been published",
                "as after a power cut; subscribers that missed any are told of a gap",
            )
        return Remark(
            True,
            f"{_offsets(first, last)} lost",
            "subscribers are told of a gap",
        )


def _offsets(first: int, last: int) -> str:
    return f"offset {first} was" if first == last else f"offsets {first} to {last} were"
