"""Bounded pieces of a shard's log (does)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from gwcluster.errors import LogError
from gwcluster.log.reader import Hole, Reader, Record

MAX_LOOKED_AT: Final = 5000


class Expired(LogError):  # noqa: N818 - a state of the log, as it is told
    def __init__(self, oldest: int) -> None:
        super().__init__(f"the oldest event that is left has offset {oldest}")
        self.oldest = oldest


@dataclass(frozen=True, slots=True)
class Page:
    epoch: str
    records: list[Record]
    holes: list[Hole]
    last: int | None
    more: bool
    oldest: int
    newest: int | None


def read(
    reader: Reader, after: int | None, *, names: Collection[str] | None, limit: int, max_bytes: int
) -> Page:
    epoch, oldest, newest = reader.epoch, reader.oldest, reader.last
    if after is not None and after + 1 < oldest:
        raise Expired(oldest)
    records: list[Record] = []
    holes: list[Hole] = []
    last, size, looked = after, 0, 0
    for entry in reader.entries(after) if limit else ():
        looked += 1
        if looked > MAX_LOOKED_AT:
            break
        if isinstance(entry, Hole):
            holes.append(entry)
            last = entry.last
            continue
        if names is None or entry.name in names:
            cost = len(entry.header) + len(entry.payload) + len(entry.name) + 12
            if records and (size + cost > max_bytes or len(records) >= limit):
                break
            records.append(entry)
            size += cost
        last = entry.offset
    more = newest is not None and (last is None or last < newest)
    return Page(epoch, records, holes, last, more, oldest, newest)
