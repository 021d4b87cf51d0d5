"""Which records of damaged bytes are whole, and which of those stand where they belong (pure)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

from gwcluster.log.record import FIXED, PREFIX, Ending, Entry, entry_at

_LENGTH_TOP: Final = 3
_BEGINS: Final = re.compile(rb"[\x00-\x07](?=.{4}[\x01-\x05].{6}[\x00-\x07].{11}\x00)", re.DOTALL)
"""From the highest byte of a record's length on, for no record has 128 MiB: a kind, the highest byte of the
payload's length, and that of an offset, which is 0. Text has no such bytes, so little is left to check."""


def whole_records(data: bytes) -> Iterator[tuple[int, Entry]]:
    """Iterate over all whole, undamaged records of `data`, each with the place at which it begins.

    Behind damage it goes on where the damaged record says that it ends, if a whole one begins there; else
    at the next place at which one does.
    """
    at = 0
    while at < len(data):
        entry = entry_at(data, at)
        if isinstance(entry, Ending):
            found = _next(data, at)
            if found is None:
                return
            at, entry = found
        yield at, entry
        at = entry.end


def _next(data: bytes, damaged: int) -> tuple[int, Entry] | None:
    end = _claimed_end(data, damaged)
    if end is not None:
        entry = entry_at(data, end)
        if isinstance(entry, Entry):
            return end, entry
    at = damaged + 1
    while (match := _BEGINS.search(data, at + _LENGTH_TOP)) is not None:
        at = match.start() - _LENGTH_TOP
        entry = entry_at(data, at)
        if isinstance(entry, Entry):
            return at, entry
        at += 1
    return None


def _claimed_end(data: bytes, at: int) -> int | None:
    if len(data) < at + PREFIX.size + FIXED.size:
        return None
    length, _ = PREFIX.unpack_from(data, at)
    _, names, headers, payloads, *_ = FIXED.unpack_from(data, at + PREFIX.size)
    return at + PREFIX.size + length if length == FIXED.size + names + headers + payloads else None


def in_order(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Return which of these spans of offsets, first and last, to keep: the most that follow one another.

    So a record that was moved costs only itself, and of one that is there twice, one stays.
    """
    lasts: list[int] = []  # of a row of one, two, … spans, the smallest end that any such row has
    ends: list[int] = []  # where that row's last span is
    before: list[int] = []
    for at, (first, last) in enumerate(spans):
        length = bisect_left(lasts, first)
        before.append(ends[length - 1] if length else -1)
        if length == len(lasts):
            lasts.append(last)
            ends.append(at)
        elif last < lasts[length]:
            lasts[length], ends[length] = last, at
    kept: list[int] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        kept.append(at)
        at = before[at]
    return kept[::-1]
