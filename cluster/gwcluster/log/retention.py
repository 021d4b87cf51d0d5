"""Which segments may go (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Protocol

_LEAST_SEGMENT: Final = 1 << 20
_LARGEST_SEGMENT: Final = 8 << 20
"""Recovery reads one whole segment, and a start must stay quick."""

PARTS: Final = 8
"""Into so many segments the retention is divided, in bytes and in age."""


class Aged(Protocol):
    """What retention has to know of a segment."""

    size: int
    begun_at: float


def segment_bytes(retention_bytes: int) -> int:
    """Return at how many bytes a segment is full."""
    return min(max(retention_bytes // PARTS, _LEAST_SEGMENT), _LARGEST_SEGMENT)


def count_expired(segments: Sequence[Aged], *, closed_bytes: int, age_s: float, now: float) -> int:
    """Return how many of the oldest segments must go at Unix second `now`.

    Args:
        segments: oldest first; the last one is being written and always stays.
        closed_bytes: what the others may come to.
        age_s: a segment goes when its youngest record is older than this. Records are no younger than the
            beginning of the segment that follows.
    """
    total = sum(segment.size for segment in segments[:-1])
    expired = 0
    for segment, following in pairwise(segments):
        if total <= closed_bytes and following.begun_at > now - age_s:
            break
        total -= segment.size
        expired += 1
    return expired
