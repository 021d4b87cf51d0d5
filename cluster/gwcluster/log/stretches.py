"""A segment's file from its beginning to its end, piece by piece (does): whole records, and what is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from gwcluster.log.record import PREFIX, Ending, Entry, entry_at
from gwcluster.log.salvage import whole_records

PIECE_BYTES: Final = 1 << 20
MOST_BYTES: Final = 128 << 20
"""Longest piece that is held in memory; no record is as long."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole, undamaged record: where it begins in the file, and its entry in `data`."""

    at: int
    entry: Entry
    data: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """Bytes that are no record, from `at` up to `end`; `torn` if a write that was cut short leaves such."""

    at: int
    end: int
    torn: bool


def stretches(path: Path) -> Iterator[Whole | Broken]:
    """Iterate over what the file holds by now, in order and without a gap.

    Raises:
        FileNotFoundError: the file is gone.
        OSError: the disk can't read it.
    """
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        at, wanted = 0, PIECE_BYTES
        while at < size:
            data = _piece(file, at, min(wanted, size - at))
            if not data:
                return  # a writer cut a torn end off meanwhile
            place = 0
            while isinstance(entry := entry_at(data, place), Entry):
                yield Whole(at + place, entry, data)
                place = entry.end
                if place == len(data):
                    break
            at += place
            wanted = PIECE_BYTES
            if isinstance(entry, Entry):
                continue
            if entry is Ending.TORN and at + len(data) - place < size:
                claimed = PREFIX.size + PREFIX.unpack_from(data, place)[0] if len(data) - place > 8 else 0
                if place or len(data) < claimed <= MOST_BYTES:
                    wanted = max(PIECE_BYTES, min(claimed, MOST_BYTES))
                    continue
            found = _next_whole(file, at, size)
            yield Broken(at, size if found is None else found, entry is Ending.TORN and found is None)
            at = size if found is None else found


def _next_whole(file: BinaryIO, at: int, size: int) -> int | None:
    """Return where the next whole record begins behind `at`."""
    while at < size:
        data = _piece(file, at, min(MOST_BYTES, size - at))
        if (found := next(whole_records(data), None)) is not None:
            return at + found[0]
        if at + len(data) >= size:
            return None
        at += max(1, len(data) // 2)
    return None


def _piece(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)
