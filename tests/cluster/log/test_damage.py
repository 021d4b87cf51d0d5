"""Ten thousand damaged logs: nothing wrong is served, what can be read is, and the rest is told as holes.

What is to be expected is found by other means than the reader's: the originals' bytes are looked for in
the damaged files, and the order is judged by a loop over all pairs.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from fuzz import log_damage as damages
from fuzz.log import MEMORY, check, live, quiet
from fuzz.log_damage import World
from gwcluster.errors import LogError
from gwcluster.log import Hole, Reader, Record
from gwcluster.log.record import EVENT, FIXED, PREFIX, START, Scan
from gwcluster.log.segments import MAX_OFFSET, segment_paths

LOGS = 25
TIMES = 50
HEAD_BYTES = PREFIX.size + FIXED.size
DAMAGES: tuple[Callable[[World], None], ...] = (
    damages.flip,
    damages.cut,
    damages.cut_out,
    damages.repeat_stretch,
    damages.repeat_records,
    damages.swap_stretches,
    damages.swap_segments,
    damages.mess,
)


def test_there_are_ten_thousand() -> None:
    assert len(DAMAGES) * LOGS * TIMES == 10_000


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_log_serves_what_is_whole_and_tells_the_rest(damage: Callable[[World], None]) -> None:
    served = missed = refused = 0
    for log in range(LOGS):
        dice = random.Random(f"{damage.__name__}/{log}")
        with quiet(), tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            originals = Originals(a_log(Path(folder), dice))
            for time in range(TIMES):
                originals.restore()
                warm = Reader(originals.world.folder) if time % 5 == 0 else None
                if warm is not None:
                    list(warm.entries())
                damage(originals.world)
                if warm is not None:
                    with_memory(originals.world, warm)
                entries = look(originals)
                if entries is None:
                    refused += 1
                    continue
                served += sum(isinstance(entry, Record) for entry in entries)
                missed += sum(isinstance(entry, Hole) for entry in entries)
    assert served > 1000, "these logs tell nothing"
    assert missed or damage is damages.cut  # which leaves a shorter log
    assert refused < LOGS * TIMES / 4


def a_log(folder: Path, dice: random.Random) -> World:
    """Return what two workers wrote, the second perhaps after the machine went down: some segments."""
    world = World(folder / "0", dice)
    while sum(1 for _ in Reader(world.folder).records()) < 8 if world.folder.exists() else True:
        live(world)
        world.boot = dice.choice((world.boot, f"{world.boot}+"))
    return world


@dataclass(frozen=True)
class Original:
    """One event as it was written: its place in the order, and its bytes."""

    offset: int
    record: bytes


class Originals:
    """A log before it is damaged, taken apart."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.files = {path.name: path.read_bytes() for _, path in segment_paths(world.folder)}
        self.starts: dict[bytes, int] = {}
        self.events: list[Original] = []
        for data in self.files.values():
            begin, scan = 0, Scan(data)
            for entry in scan:
                record = data[begin : entry.end]
                if entry.kind == START:
                    self.starts[record] = entry.offset
                elif entry.kind == EVENT:
                    self.events.append(Original(entry.offset, record))
                begin = entry.end
            assert begin == len(data)
        assert len({event.record for event in self.events}) == len(self.events)

    def restore(self) -> None:
        shutil.rmtree(self.world.folder)
        self.world.folder.mkdir()
        for name, data in self.files.items():
            (self.world.folder / name).write_bytes(data)

    def expected(self) -> Expected | None:
        """Return what the files that are there now can serve, None if no log is left."""
        files = [(first, path.read_bytes()) for first, path in segment_paths(self.world.folder)]
        if not any(self._start(data) == first for first, data in files):
            return None
        mine = [
            (first, data)
            for first, data in files
            if (start := self._start(data)) == first
            or (start is None and self._in_order(data, first, MAX_OFFSET))
        ]
        uppers = [*(first for first, _ in mine[1:]), MAX_OFFSET]
        most, least = Counter[int](), Counter[int]()
        row: list[int] = []
        for (first, data), upper in zip(mine, uppers, strict=True):
            row = self._in_order(data, first, upper)
            most[first] = len(row)
            least[first] = len(self._in_order(data, first, upper, self._claimed(data)))
        return Expected(mine[0][0], row[-1] if row else mine[-1][0] - 1, least, most)

    def _start(self, data: bytes) -> int | None:
        return next((first for start, first in self.starts.items() if data.startswith(start)), None)

    def _in_order(self, data: bytes, first: int, upper: int, without: Collection[range] = ()) -> list[int]:
        """Return the longest row of offsets that ascend, of the whole events that belong here."""
        found = sorted(
            (at, event.offset)
            for event in self.events
            if first <= event.offset < upper
            for at in _everywhere(event.record, data)
            if not any(at in stretch for stretch in without)
        )
        rows: list[list[int]] = []
        for _, offset in found:
            before = [row for row in rows if row[-1] < offset]
            rows.append([*max(before, key=len, default=[]), offset])
        longest = max(map(len, rows), default=0)
        return min((row for row in rows if len(row) == longest), key=lambda row: row[-1], default=[])

    def _claimed(self, data: bytes) -> list[range]:
        """Return where events were that are damaged now, by what they themselves say of their length.

        A whole event within may be passed over: a stretch that went can be as long as the event behind it.
        """
        return [
            range(at, at + len(event.record))
            for event in self.events
            for at in _everywhere(event.record[:HEAD_BYTES], data)
            if not data.startswith(event.record, at)
        ]


@dataclass(frozen=True)
class Expected:
    """What a damaged log can serve.

    Attributes:
        oldest, last: offsets.
        least, most: so many events in each segment, by its first offset. They differ for few logs.
    """

    oldest: int
    last: int
    least: Counter[int]
    most: Counter[int]


def _everywhere(piece: bytes, data: bytes) -> Iterator[int]:
    at = data.find(piece)
    while at >= 0:
        yield at
        at = data.find(piece, at + 1)


def look(originals: Originals) -> list[Record | Hole] | None:
    """Read all of a damaged log, from its beginning and from elsewhere; return what there was."""
    world = originals.world
    expected = originals.expected()
    reader = Reader(world.folder)
    if expected is None:
        with pytest.raises(LogError):
            list(reader.entries())
        return None
    entries = list(reader.entries())
    records = [entry for entry in entries if isinstance(entry, Record)]
    check(world, reader.epoch, records)
    spans = offsets(entries)
    assert all(two[0] == one[1] + 1 for one, two in pairwise(spans)), "a gap, or the same twice"
    assert all(first <= end for first, end in spans)
    homes = Counter(max(first for first in expected.most if first <= record.offset) for record in records)
    assert expected.least <= homes <= expected.most, "what is whole and in order is served, all of it"
    oldest, last = reader.oldest, -1 if reader.last is None else reader.last
    assert (oldest, last) == (expected.oldest, expected.last) or expected.least != expected.most
    assert not spans or (spans[0][0], spans[-1][1]) == (oldest, last)
    if last < oldest or world.dice.random() < 0.5:
        return entries
    after = world.dice.randrange(oldest - 1, last + 1)
    later = list(reader.entries(after))
    assert [entry for entry in later if isinstance(entry, Record)] == [
        record for record in records if record.offset > after
    ]
    assert offsets(later) == [(max(first, after + 1), end) for first, end in spans if end > after]
    return entries


def with_memory(world: World, warm: Reader) -> None:
    """Who read the log before it was damaged may know more of it by now, but serves nothing wrong either."""
    try:
        entries = list(warm.entries())
    except LogError:
        return
    check(world, warm.epoch, [entry for entry in entries if isinstance(entry, Record)])
    assert all(two[0] == one[1] + 1 for one, two in pairwise(offsets(entries)))


def offsets(entries: list[Record | Hole]) -> list[tuple[int, int]]:
    """Return first and last offset of each entry; holes that touch are one."""
    spans: list[tuple[int, int]] = []
    holes: list[bool] = []
    for entry in entries:
        is_hole = isinstance(entry, Hole)
        first, last = (entry.first, entry.last) if isinstance(entry, Hole) else (entry.offset, entry.offset)
        if is_hole and holes and holes[-1] and spans[-1][1] + 1 == first:
            spans[-1] = (spans[-1][0], last)
        else:
            spans.append((first, last))
            holes.append(is_hole)
    return spans
