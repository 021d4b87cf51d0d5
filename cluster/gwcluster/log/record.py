"""Records of a shard's log as bytes (pure); docs/log.md describes them."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple
from zlib import crc32

PREFIX: Final = struct.Struct("<II")
"""Length of the body in bytes, CRC-32 of the body."""

FIXED: Final = struct.Struct("<BBHIIQqd")
"""How every body begins: kind, lengths of name, header and payload, session, offset, seq, at."""

NO_SEQ: Final = -1
_LAST: Final = struct.Struct("<Q")

START, EVENT, MARKER, HOLE, CLOSED = 1, 2, 3, 4, 5
"""Kinds. 0 isn't one, so that a tail of zeros is no record."""


class Ending(enum.Enum):
    """Why a scan stopped."""

    WHOLE = "after the last byte"
    TORN = "the last record's end is missing: a write that was cut short"
    DAMAGED = "bytes that no interrupted write leaves behind"


class Entry(NamedTuple):
    """One record that passed its check; name, header, payload and end are places in the data."""

    kind: int
    session: int
    offset: int
    seq: int
    at: float
    name: int
    header: int
    payload: int
    end: int


def encode(
    kind: int,
    name: bytes,
    header: bytes,
    payload: bytes,
    session: int,
    offset: int,
    seq: int | None,
    at: float,
) -> tuple[bytes, bytes]:
    """Return one record in two pieces, the second of them `payload` itself, so that it isn't copied."""
    head = (
        FIXED.pack(
            kind,
            len(name),
            len(header),
            len(payload),
            session,
            offset,
            NO_SEQ if seq is None else seq,
            at,
        )
        + name
        + header
    )
    return PREFIX.pack(len(head) + len(payload), crc32(payload, crc32(head))) + head, payload


def encode_hole(first: int, last: int, at: float) -> bytes:
    """Return the record that says: the events `first` to `last` were published, but are not in the log."""
    return b"".join(encode(HOLE, b"", b"", _LAST.pack(last), 0, first, None, at))


def hole_end(payload: bytes) -> int:
    """Return the last offset of the hole whose record has this payload."""
    last: int = _LAST.unpack(payload)[0]
    return last


def entry_at(data: bytes, at: int) -> Entry | Ending:
    """Return the whole, undamaged record that begins at place `at` of `data`, or why there is none."""
    size, body = len(data), at + PREFIX.size
    if size < body + FIXED.size:
        return Ending.TORN
    length, check = PREFIX.unpack_from(data, at)
    kind, names, headers, payloads, session, offset, seq, moment = FIXED.unpack_from(data, body)
    # Two ways to the length: were there one, a flipped bit in it would pass for a torn tail.
    if length != FIXED.size + names + headers + payloads:
        return Ending.DAMAGED
    end = body + length
    if end > size:
        return Ending.TORN
    if crc32(memoryview(data)[body:end]) != check:
        return Ending.DAMAGED
    name = body + FIXED.size
    if (kind == EVENT and not data[name : name + names].isascii()) or (
        kind == HOLE and not _is_hole(data[end - payloads : end], offset)
    ):
        return Ending.DAMAGED  # no writer's, though its checksum is right
    return Entry(kind, session, offset, seq, moment, name, name + names, name + names + headers, end)


class Scan:
    """Iterates over the whole, undamaged records at the beginning of `data`.

    Attributes:
        end: how many bytes of `data` have been found good so far.
        ending: why the scan stopped; None while it hasn't.
    """

    __slots__ = ("data", "end", "ending")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.end = 0
        self.ending: Ending | None = None

    def __iter__(self) -> Iterator[Entry]:
        while self.end < len(self.data):
            entry = entry_at(self.data, self.end)
            if isinstance(entry, Ending):
                self.ending = entry
                return
            self.end = entry.end
            yield entry
        self.ending = Ending.WHOLE


def _is_hole(payload: bytes, first: int) -> bool:
    return len(payload) == _LAST.size and hole_end(payload) >= first
