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
from gwsimulator import guilds, payloads

MADE: Final = Path(__file__).parent / ".made"
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
    made = _made(folder, f"{mix}-{transport}-{_version()}-", chapters * chapter)
    if made is None:
        made = folder / f"{mix}-{transport}-{_version()}-{chapters * chapter}.starts"
        _make(made, mix, transport, chapters)
    starts = array("Q")
    starts.frombytes(made.read_bytes())
    with made.with_suffix(".frames").open("rb") as file:
        frames = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return Sequence(frames, starts, chapter)


def _made(folder: Path, name: str, count: int) -> Path | None:
    """Return the shortest of what was made that is long enough: all begin with the same events."""
    sizes = {int(path.stem.removeprefix(name)): path for path in folder.glob(f"{name}*.starts")}
    return next((sizes[size] for size in sorted(sizes) if size >= count), None)


def _make(made: Path, mix: str, transport: str, chapters: int) -> None:
    made.parent.mkdir(exist_ok=True)
    size = traffic.MIXES[mix].chapter
    events = traffic.numbered(traffic.bodies(mix), chapters * size)
    starts, end = array("Q", [0]), 0
    part = made.with_suffix(f".{os.getpid()}")
    with part.open("wb") as file:
        for _ in range(chapters):
            for frame in encoding.chapter(transport, list(itertools.islice(events, size))):
                file.write(frame)
                starts.append(end := end + len(frame))
    part.replace(made.with_suffix(".frames"))
    part.write_bytes(starts.tobytes())
    part.replace(made)  # last: it says that the frames are whole


def _version() -> str:
    """Return what changes when events or their encoding do."""
    modules = (traffic, encoding, payloads, guilds)
    return hashlib.sha256(b"".join(Path(str(one.__file__)).read_bytes() for one in modules)).hexdigest()[:12]
