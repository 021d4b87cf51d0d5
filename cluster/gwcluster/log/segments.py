"""A log's segments in its folder (does): names, listing, reading, creating."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gwcluster.log.record import PREFIX, Scan

MAX_OFFSET: Final = 1 << 53
"""No offset comes near it: beyond, the numbers of many JSON readers are no longer whole."""

_SEGMENT: Final = re.compile(r"([0-9]{20})\.log")
MAX_START_BYTES: Final = 1 << 20
_UNFINISHED: Final = re.compile(r"[0-9]{20}\.tmp")


@dataclass(slots=True)
class Segment:
    """One file of a log.

    Attributes:
        first: offset with which it begins, also its name.
        size: bytes.
        begun_at: Unix seconds; no older record is in it.
    """

    first: int
    path: Path
    size: int
    begun_at: float


def segment_paths(folder: Path) -> list[tuple[int, Path]]:
    """Return first offset and path of every segment, oldest first; foreign files are none."""
    names = [match for path in folder.iterdir() if (match := _SEGMENT.fullmatch(path.name))]
    return sorted((first, folder / match[0]) for match in names if (first := int(match[1])) < MAX_OFFSET)


def list_segments(folder: Path) -> list[Segment]:
    """Return every segment, oldest first."""
    return [
        Segment(first, path, path.stat().st_size, _begun_at(path)) for first, path in segment_paths(folder)
    ]


def remove_unfinished(folder: Path) -> None:
    """Remove segments whose creation was interrupted; only the holder of the log's lock may."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name):
            path.unlink()


def create_segment(folder: Path, first: int, start: bytes) -> int:
    """Create a segment that holds `start` and return its descriptor, open for appending.

    It appears under its name only when `start` is in it. A segment of the same name is replaced: only one
    without events can have it.
    """
    unfinished = folder / f"{first:020d}.tmp"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(unfinished, flags, 0o600)
    try:
        written = 0
        while written < len(start):
            written += os.write(fd, start[written:])
        unfinished.rename(folder / f"{first:020d}.log")
    except OSError:
        os.close(fd)
        unfinished.unlink(missing_ok=True)
        raise
    return fd


def read_first(path: Path) -> bytes:
    """Return the first record of a segment, as far as it is there.

    Raises:
        FileNotFoundError: the segment is gone.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(PREFIX.size)
        if len(head) == PREFIX.size:
            head += file.read(min(PREFIX.unpack(head)[0], MAX_START_BYTES))
        return head


def _begun_at(path: Path) -> float:
    for entry in Scan(read_first(path)):
        return entry.at
    return path.stat().st_mtime
