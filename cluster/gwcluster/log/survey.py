"""What a reader knows of one segment, and how it reads it (does): little, from near where it has to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gwcluster.errors import LogError
from gwcluster.log.filling import Passed, Step
from gwcluster.log.index import Index, Walk
from gwcluster.log.page import Hole, Record
from gwcluster.log.record import EVENT, FIXED, PREFIX, Ending, Entry, entry_at
from gwcluster.log.salvage import whole_records
from gwcluster.log.segments import MAX_OFFSET, MAX_START_BYTES
from gwcluster.log.state import State, decode_start

_AT_FIRST: Final = 64 << 10
_AT_ONCE: Final = 1 << 20
_HEAD_BYTES: Final = PREFIX.size + FIXED.size


class Survey:
    """One segment. Use it while it is `opened`; between questions only the index is kept.

    What is kept is never trusted: a record is checked whenever it is read, and a file that isn't as the index
    says is looked through anew.

    Args:
        first: offset in its name.
        path: where it is.

    Attributes:
        state: what it begins with; None: unreadable, or the file is gone.
        indexed, served: bytes read for the index and for steps; whoever cares sets them to 0 before.
    """

    def __init__(self, first: int, path: Path) -> None:
        self.first = first
        self.path = path
        self.state: State | None = None
        self.indexed = self.served = 0
        self._fd = -1
        self._head = b""
        self._start_end = 0
        self._file: tuple[int, int] | None = None
        self._seen: tuple[int, int] | None = None
        self._index: Index | None = None

    @contextmanager
    def opened(self) -> Iterator[bool]:
        """Open the file, see whether it is still the same, and close it after the block; False: it is gone.

        Raises:
            LogError: the disk can't read it.
        """
        try:
            try:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                self.forget()
                yield False
                return
            try:
                self._recognize()
                yield True
            finally:
                os.close(self._fd)
                self._fd = -1
        except OSError as error:
            raise LogError(f"can't read {self.path}: {error}") from error

    def forget(self) -> None:
        """Keep nothing."""
        self.state = self._file = self._seen = self._index = None
        self._head = b""

    def _recognize(self) -> None:
        found = os.fstat(self._fd)
        head = os.pread(self._fd, _HEAD_BYTES, 0)
        if (found.st_dev, found.st_ino) == self._file and head == self._head:
            return
        self.forget()
        self._file, self._head = (found.st_dev, found.st_ino), head
        if len(head) == _HEAD_BYTES:
            start = os.pread(self._fd, PREFIX.size + min(PREFIX.unpack_from(head)[0], MAX_START_BYTES), 0)
            entry = entry_at(start, 0)
            if isinstance(entry, Entry):
                self.state, self._start_end = decode_start(entry, start), entry.end

    def belongs(self, epoch: str) -> bool:
        """Say whether this is a segment of the log; without a readable start it is if any event in it is."""
        if self.state is not None:
            return self.state.epoch == epoch and self.state.next_offset == self.first
        return bool(self.index(epoch, MAX_OFFSET).runs)

    def index(self, epoch: str, upper: int) -> Index:
        """Return the index of what is written by now.

        Args:
            epoch: of the log.
            upper: offset with which the next segment begins.
        """
        stat = os.fstat(self._fd)
        seen, index = self._seen, self._index
        if (
            index is None
            or seen is None
            or (index.epoch, stat.st_size >= index.end) != (epoch.encode(), True)
            or (stat.st_size == seen[0] and stat.st_mtime_ns != seen[1])
            or index.next > upper
        ):
            seen = None
            index = Index(self.first, upper, epoch, self._start_end if self.state is not None else 0)
        index.upper = upper
        if seen is None or stat.st_size != seen[0]:
            self._grow(index, stat.st_size)
        self._seen, self._index = (stat.st_size, stat.st_mtime_ns), index
        return index

    def _grow(self, index: Index, size: int) -> None:
        chunk_bytes = _AT_FIRST
        while index.end < size:
            data = os.pread(self._fd, min(chunk_bytes, size - index.end), index.end)
            self.indexed += len(data)
            if not data:
                return
            chunk_bytes = min(2 * chunk_bytes, _AT_ONCE)
            begin = index.end
            ending = index.grow(data)
            if ending is Ending.WHOLE:
                continue
            if ending is Ending.TORN and begin + len(data) < size:
                if index.end == begin:
                    chunk_bytes = max(chunk_bytes, _claimed(data))
                continue
            # A write that was cut short, or is on its way, is the end; unless anything whole stands in it.
            if ending is not Ending.TORN or any(whole_records(data[index.end - begin :])):
                index.examine(os.pread(self._fd, size, 0))
                self.indexed += size
            return

    def steps(self, epoch: str, upper: int, position: int, names: frozenset[bytes] | None) -> Iterator[Step]:
        """Iterate over what there is from offset `position` on, in order.

        Raises:
            LogError: the file changes in a way that no writer changes it.
        """
        for last_try in (False, True):
            surprised = False
            for step in self._steps(self.index(epoch, upper), position, names):
                if step is None:
                    surprised = True
                    self._seen = self._index = None
                    break
                position = following_offset(step)
                yield step
            if not surprised:
                return
            if last_try:
                break
        raise LogError(f"{self.path} is being changed while it is read")

    def _steps(self, index: Index, position: int, names: frozenset[bytes] | None) -> Iterator[Step | None]:
        for run in index.runs:
            if run.next <= position:
                continue
            if run.first > position:
                yield Hole(position, run.first - 1)
                position = run.first
            offset, place = run.mark(position)
            chunk_bytes = _AT_FIRST
            while offset < run.next:
                data = os.pread(self._fd, min(chunk_bytes, run.end - place), place)
                self.served += len(data)
                walk = Walk(data, index.epoch, offset, run.next)
                for entry in walk:
                    if walk.next <= position:
                        continue
                    if entry.kind != EVENT:
                        yield Hole(max(entry.offset, position), walk.next - 1)
                    elif names is None or data[entry.name : entry.header] in names:
                        yield Record.of(entry, data)
                if walk.place == 0 and (walk.ending is not Ending.TORN or place + len(data) >= run.end):
                    yield None
                    return
                chunk_bytes = max(min(2 * chunk_bytes, _AT_ONCE), _claimed(data) if walk.place == 0 else 0)
                offset, place = walk.next, place + walk.place
                if offset > position:
                    position = offset
                    yield Passed(position)


def following_offset(step: Step) -> int:
    """Return the offset that comes after a step."""
    match step:
        case Passed():
            return step.next
        case Hole():
            return step.last + 1
    return step.offset + 1


def _claimed(data: bytes) -> int:
    """Return how long the record is with which `data` begins, if that is known."""
    return PREFIX.size + int(PREFIX.unpack_from(data)[0]) if len(data) >= PREFIX.size else 0
