"""Reads a shard's log, also while its writer appends (does); nothing here needs the lock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gwcluster.errors import LogError
from gwcluster.log.record import EVENT, HOLE, NO_SEQ, Entry, Scan, hole_end
from gwcluster.log.segments import read_first, segment_paths
from gwcluster.log.state import State, decode_start


@dataclass(frozen=True, slots=True)
class Record:
    """One event as it was published.

    Attributes:
        name: event name; with the shard it makes the topic.
        header, payload: frames 1 and 2.
        offset, session, seq, at: what the header says.
    """

    name: str
    header: bytes
    payload: bytes
    offset: int
    session: int
    seq: int | None
    at: float


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets, from `first` to `last`, that may have been published but are not in the log."""

    first: int
    last: int


class Reader:
    """Looks into the log in `folder`. Every answer is as fresh as the question; nothing is kept open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def epoch(self) -> str:
        """Identity of the log.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        for first, path in reversed(self._paths()):
            if (state := _beginning(first, path)) is not None:
                return state.epoch
        raise LogError(f"there is no log in {self._folder}")

    @property
    def oldest(self) -> int:
        """Oldest offset that is still here: everything before it has expired.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        epoch = self.epoch
        for first, path in self._paths():
            if (found := _beginning(first, path)) is not None and found.epoch == epoch:
                return first
        raise LogError(f"the log in {self._folder} is being removed")

    @property
    def last(self) -> int | None:
        """Offset of the last event or hole, or None when there was none yet.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        epoch = self.epoch
        for first, path in reversed(self._paths()):
            position = None
            for position, event in _walk(first, _read(path), epoch):
                position += event is not None
            if position is not None:
                return position - 1 if position > 0 else None
        raise LogError(f"the log in {self._folder} is being removed")

    def records(self, after: int | None = None) -> Iterator[Record]:
        """Iterate over the events after offset `after`, or over all, up to what is written by now.

        Offsets that are not in the log are left out; `entries` tells them.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        return (entry for entry in self.entries(after) if isinstance(entry, Record))

    def entries(self, after: int | None = None) -> Iterator[Record | Hole]:
        """Iterate like `records`, and say in its place which offsets are not in the log.

        With `after`, expired offsets behind it are a hole as well. A record that fails its check is never
        given out: what follows it in its segment is a hole.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        epoch = self.epoch
        # Listed before any of them is read: a segment that another one follows in this list is complete.
        paths = self._paths()
        expected = None if after is None else after + 1
        if expected is not None:
            paths = paths[sum(first <= expected for first, _ in paths[1:]) :]
        for first, path in paths:
            data = _read(path)
            for position, event in _walk(first, data, epoch):
                if expected is None or position > expected:
                    if expected is not None:
                        yield Hole(expected, position - 1)
                    expected = position
                if event is not None and position == expected:
                    yield _record(event, data)
                    expected += 1

    def _paths(self) -> list[tuple[int, Path]]:
        try:
            return segment_paths(self._folder)
        except OSError as error:
            raise LogError(f"there is no log in {self._folder}: {error}") from error


def _walk(first: int, data: bytes, epoch: str) -> Iterator[tuple[int, Entry | None]]:
    """Iterate over the offsets at which a segment of `epoch` stands, and the event there, if there is one.

    A segment under the name of another one, `first`, is nobody's.
    """
    entries = iter(Scan(data))
    start = next(entries, None)
    state = None if start is None else decode_start(start, data)
    if state is None or state.epoch != epoch or state.next_offset != first:
        return
    yield state.next_offset, None
    for entry in entries:
        if entry.kind == EVENT:
            yield entry.offset, entry
        elif entry.kind == HOLE:
            yield hole_end(data[entry.payload : entry.end]) + 1, None


def _record(entry: Entry, data: bytes) -> Record:
    return Record(
        name=data[entry.name : entry.header].decode("ascii"),
        header=data[entry.header : entry.payload],
        payload=data[entry.payload : entry.end],
        offset=entry.offset,
        session=entry.session,
        seq=None if entry.seq == NO_SEQ else entry.seq,
        at=entry.at,
    )


def _read(path: Path) -> bytes:
    """Return what is in a segment, nothing if it has expired meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise LogError(f"can't read {path}: {error}") from error


def _beginning(first: int, path: Path) -> State | None:
    """Return what a segment begins with, None if that is unreadable, another's, or has expired."""
    try:
        data = read_first(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LogError(f"can't read {path}: {error}") from error
    entry = next(iter(Scan(data)), None)
    state = None if entry is None else decode_start(entry, data)
    return None if state is None or state.next_offset != first else state
