"""Encodes a mix once, for all connections (does): the frames lie in a file, and sending is slicing."""

from __future__ import annotations

import hashlib
import itertools
import mmap
import os
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import encoding, traffic

HERE: Final = Path(__file__).parent
MADE: Final = HERE / ".made"
"""Git ignores it; it may be removed at any time."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """The frames of events 0, 1, 2, …, whose sequence numbers are 2, 3, 4, ….

    Attributes:
        frames: all of them, one behind the other.
        starts: where each frame starts, and where the last one ends.
        chapter: events in a chapter.
    """

    frames: memoryview
    starts: array[int]
    chapter: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def slice(self, first: int, end: int) -> memoryview:
        """Return the frames of the events from `first` up to `end`."""
        return self.frames[self.starts[first] : self.starts[end]]


def sequence(mix: str, transport: str, count: int, folder: Path = MADE) -> Sequence:
    """Return at least `count` events, in whole chapters; encode them unless a file has them already."""
    chapter = traffic.MIXES[mix].chapter
    chapters = -(-count // chapter)
    base = folder / f"{mix}-{transport}-{chapters * chapter}-{_version()}"
    if not base.with_suffix(".starts").exists():
        _make(base, mix, transport, chapters)
    starts = array("Q")
    starts.frombytes(base.with_suffix(".starts").read_bytes())
    with base.with_suffix(".frames").open("rb") as file:
        frames = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return Sequence(frames, starts, chapter)


def _make(base: Path, mix: str, transport: str, chapters: int) -> None:
    base.parent.mkdir(exist_ok=True)
    size = traffic.MIXES[mix].chapter
    payloads = traffic.numbered(traffic.bodies(mix), chapters * size)
    starts, end = array("Q", [0]), 0
    made = base.with_suffix(f".{os.getpid()}")
    with made.open("wb") as file:
        for _ in range(chapters):
            for frame in encoding.chapter(transport, list(itertools.islice(payloads, size))):
                file.write(frame)
                starts.append(end := end + len(frame))
    made.replace(base.with_suffix(".frames"))
    made.write_bytes(starts.tobytes())
    made.replace(base.with_suffix(".starts"))


def _version() -> str:
    """Return what changes when events or their encoding do."""
    files = (HERE / "traffic.py", HERE / "encoding.py")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
