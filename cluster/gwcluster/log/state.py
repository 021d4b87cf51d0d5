"""What a shard's log knows at one point of it (pure): what a segment begins with, recovery restores."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from gwcluster.errors import LogError
from gwcluster.log.record import EVENT, HOLE, NO_SEQ, START, Entry, encode, hole_end

FORMAT: Final = 1
MAX_NAMES: Final = 512
"""Names whose last offset is kept; Discord has some hundred. Beyond it, a quarter is forgotten at once: those
that came the longest ago."""

_EPOCH: Final = re.compile("[0-9a-f]{16}")


@dataclass(slots=True)
class State:
    """Where the log stands.

    Attributes:
        epoch: 16 hex digits, the identity of the log.
        shard, shards: shard id, from 0, and shard count.
        boot: identity of the machine's boot in which the segment was begun.
        next_offset: what the next event gets.
        session, seq: of the last record that carries a seq; 0 and None before the first.
        last_offsets: event name to the offset of its last event; not more than `MAX_NAMES`.
        floor: no name that isn't in `last_offsets` came after this offset: the last one of the last hole, or
            that of a name that was forgotten; None: such names never came.
    """

    epoch: str
    shard: int
    shards: int
    boot: str
    next_offset: int = 0
    session: int = 0
    seq: int | None = None
    last_offsets: dict[str, int] = field(default_factory=dict)
    floor: int | None = None

    def apply(self, entry: Entry, data: bytes) -> None:
        """Move on by one record of `data`."""
        if entry.kind == EVENT:
            self.next_offset = entry.offset + 1
            name = data[entry.name : entry.header].decode("ascii")
            if name not in self.last_offsets:
                self.make_room()
            self.last_offsets[name] = entry.offset
        elif entry.kind == HOLE:
            self.skip_to(hole_end(data[entry.payload : entry.end]) + 1)
        if entry.seq != NO_SEQ:
            self.session, self.seq = entry.session, entry.seq

    def make_room(self) -> list[str]:
        """Make room for another name in `last_offsets`, and return those that are forgotten for it.

        Their events count from the floor then. Who follows one of them sees a `prev` that may be another
        name's, asks, and finds that nothing was missing.
        """
        if len(self.last_offsets) < MAX_NAMES:
            return []
        oldest = sorted(self.last_offsets, key=self.last_offsets.__getitem__)[: -3 * MAX_NAMES // 4]
        forgotten = [self.last_offsets.pop(name) for name in oldest]
        self.floor = forgotten[-1] if self.floor is None else max(self.floor, forgotten[-1])
        return oldest

    def skip_to(self, offset: int) -> None:
        """Go on at `offset`: what the offsets before it held is unknown.

        Any of them may have been any name's last, so every chain now hangs on the last of them. Who follows a
        name then sees a `prev` that it never got, asks, and is told of the gap.
        """
        self.next_offset = offset
        self.floor = offset - 1
        self.last_offsets = dict.fromkeys(self.last_offsets, offset - 1)


def encode_start(state: State, at: float) -> bytes:
    """Return the record with which a segment begins, at Unix second `at`."""
    payload = json.dumps(
        {
            "format": FORMAT,
            "epoch": state.epoch,
            "shard": state.shard,
            "shards": state.shards,
            "boot": state.boot,
            "floor": state.floor,
            "names": state.last_offsets,
        },
        separators=(",", ":"),
    ).encode()
    return b"".join(encode(START, b"", b"", payload, state.session, state.next_offset, state.seq, at))


def decode_start(entry: Entry, data: bytes) -> State | None:
    """Return what a segment begins with, or None when this isn't the beginning of a segment.

    Raises:
        LogError: a newer gwcluster wrote it; run that one, or remove the log.
    """
    if entry.kind != START:
        return None
    fields = _object(data[entry.payload : entry.end])
    version = fields.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise LogError(f"a log of format {version}; this gwcluster reads up to {FORMAT}: upgrade it")
    epoch, boot, names = fields.get("epoch"), fields.get("boot"), fields.get("names")
    shard, shards, floor = fields.get("shard"), fields.get("shards"), fields.get("floor")
    if not (isinstance(epoch, str) and _EPOCH.fullmatch(epoch) and isinstance(boot, str)):
        return None
    if not (_is_count(shard) and _is_count(shards) and isinstance(names, dict)):
        return None
    lasts = [*names.values(), *([] if floor is None else [floor])]
    if not all(_is_count(last) and last < entry.offset for last in lasts):
        return None
    return State(
        epoch=epoch,
        shard=shard,
        shards=shards,
        boot=boot,
        next_offset=entry.offset,
        session=entry.session,
        seq=None if entry.seq == NO_SEQ else entry.seq,
        last_offsets=names,
        floor=floor,
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
