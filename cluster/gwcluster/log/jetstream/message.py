"""The messages of a shard's stream (pure): a record's data is the payload, all else of it stands in headers.

A record is an event. A mark says up to which seq events were received that a filter dropped. A fence says who
writes from here on, and what a successor has to know of all that came before. Fill means
nothing: see `opening`.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from gwcluster.errors import LogError
from gwcluster.log.jetstream import names
from gwcluster.log.state import State

FORMAT: Final = 1
HEADERS_BYTES: Final = 1024
"""More than headers and subject of any of our messages come to."""

_EPOCH: Final = re.compile("[0-9a-f]{16}")
_COUNT: Final = re.compile("[0-9]{1,18}")


class Kind(enum.Enum):
    """What a message is."""

    RECORD = "an event"
    MARK = "a seq that was received"
    TAKING = "a fence: somebody is taking the log over; what follows doesn't count, up to the next fence"
    FENCE = "a fence: its writer goes on after it"
    CLOSED = "a fence: its writer ended, and nothing of it is on its way"
    FILL = "no meaning"
    FOREIGN = "nothing of ours"


_FENCES: Final = {"taking": Kind.TAKING, "taken": Kind.FENCE, "closed": Kind.CLOSED}
_PHASES: Final = {kind: phase for phase, kind in _FENCES.items()}

Key = tuple[str, str, str, int, int | None]
"""What tells messages apart: last token of the subject, writer, epoch, offset, seq."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it was found in a stream.

    Attributes:
        sequence: its place in the stream.
        token: last of its subject: of a record, the event's name.
        writer: 16 hex digits, made for each opening of a log.
        offset: a record's own; else that of the next record.
        lost: of a mark: the event's name at the offset before, which the server had no room for.
        data: a record's payload, or a fence's state.
    """

    sequence: int
    kind: Kind
    token: str
    writer: str
    epoch: str
    offset: int
    session: int = 0
    seq: int | None = None
    prev: int | None = None
    at: float = 0.0
    shards: int = 0
    lost: str | None = None
    data: bytes = b""

    @property
    def key(self) -> Key:
        """See `Key`."""
        return self.token, self.writer, self.epoch, self.offset, self.seq

    @property
    def next_offset(self) -> int:
        """The offset that follows."""
        return self.offset + 1 if self.kind is Kind.RECORD else self.offset

    @property
    def is_fence(self) -> bool:
        """Whether it is one of the fences."""
        return self.kind in _PHASES


def record(
    writer: str,
    epoch: str,
    shards: int,
    offset: int,
    prev: int | None,
    session: int,
    seq: int | None,
    at: float,
) -> dict[str, str]:
    """Return the headers of a record."""
    headers = {
        "Gw-V": "1",
        "Gw-Writer": writer,
        "Gw-Epoch": epoch,
        "Gw-Shards": str(shards),
        "Gw-Offset": str(offset),
        "Gw-Session": str(session),
        "Gw-At": repr(at),
    }
    if prev is not None:
        headers["Gw-Prev"] = str(prev)
    if seq is not None:
        headers["Gw-Seq"] = str(seq)
    return headers


def mark(
    writer: str, epoch: str, offset: int, session: int, seq: int | None, lost: str | None = None
) -> dict[str, str]:
    """Return the headers of a mark; `lost` is the name of an event that had no room, at the offset before."""
    headers = {
        "Gw-V": "1",
        "Gw-Writer": writer,
        "Gw-Epoch": epoch,
        "Gw-Offset": str(offset),
        "Gw-Session": str(session),
    }
    if seq is not None:
        headers["Gw-Seq"] = str(seq)
    if lost is not None:
        headers["Gw-Lost"] = lost
    return headers


def fill(writer: str, epoch: str, offset: int) -> dict[str, str]:
    """Return the headers of fill."""
    return {"Gw-V": "1", "Gw-Writer": writer, "Gw-Epoch": epoch, "Gw-Offset": str(offset)}


def fence(kind: Kind, writer: str, state: State, host: str, token: int) -> dict[str, str]:
    """Return the headers of a fence, behind which the log stands at `state`; see `encode_state`."""
    return {
        "Gw-V": "1",
        "Gw-Writer": writer,
        "Gw-Epoch": state.epoch,
        "Gw-Shards": str(state.shards),
        "Gw-Offset": str(state.next_offset),
        "Gw-Fence": _PHASES[kind],
        "Gw-Host": host,
        "Gw-Token": str(token),
    }


def encode_state(state: State, begins: int) -> bytes:
    """Return the data of a fence.

    Args:
        state: where the log stands behind it.
        begins: sequence of the message with which the log's epoch begins.
    """
    return json.dumps(
        {
            "format": FORMAT,
            "begins": begins,
            "session": state.session,
            "seq": state.seq,
            "floor": state.floor,
            "names": state.last_offsets,
        },
        separators=(",", ":"),
    ).encode()


def decode_state(found: Stored, shard: int) -> tuple[State, int] | None:
    """Return what a fence holds, and where the epoch begins; None: it can't be read.

    Raises:
        LogError: a newer gwcluster wrote it: run that one.
    """
    try:
        told: Any = json.loads(found.data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    version = told.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise LogError(f"a log of format {version}; this gwcluster reads up to {FORMAT}: upgrade it")
    begins, session, seq = told.get("begins"), told.get("session"), told.get("seq")
    floor, last_offsets = told.get("floor"), told.get("names")
    if not (_is_count(begins) and _is_count(session) and isinstance(last_offsets, dict)):
        return None
    if not all(value is None or _is_count(value) for value in (seq, floor)):
        return None
    if not all(_is_count(last) and last < found.offset for last in last_offsets.values()):
        return None
    state = State(
        epoch=found.epoch,
        shard=shard,
        shards=found.shards,
        boot="",
        next_offset=found.offset,
        session=session,
        seq=seq,
        last_offsets=last_offsets,
        floor=floor,
    )
    return state, begins


def parse(sequence: int, subject: str, headers: Mapping[str, str] | None, data: bytes) -> Stored:
    """Return what a message of a shard's stream is."""
    told = headers or {}
    token = subject.rpartition(".")[2]
    foreign = Stored(sequence, Kind.FOREIGN, token, "", "", 0)
    version, offset, epoch = told.get("Gw-V", ""), told.get("Gw-Offset", ""), told.get("Gw-Epoch", "")
    if version != "1" or _COUNT.fullmatch(offset) is None or _EPOCH.fullmatch(epoch) is None:
        return foreign
    counts: dict[str, int | None] = {}
    for key in ("Gw-Session", "Gw-Seq", "Gw-Prev", "Gw-Shards"):
        value = told.get(key)
        if value is not None and _COUNT.fullmatch(value) is None:
            return foreign
        counts[key] = None if value is None else int(value)
    kind = _kind(token, told)
    at = _moment(told.get("Gw-At", "0.0"))
    if kind is None or at is None:
        return foreign
    return Stored(
        sequence=sequence,
        kind=kind,
        token=token,
        writer=told.get("Gw-Writer", ""),
        epoch=epoch,
        offset=int(offset),
        session=counts["Gw-Session"] or 0,
        seq=counts["Gw-Seq"],
        prev=counts["Gw-Prev"],
        at=at,
        shards=counts["Gw-Shards"] or 0,
        lost=told.get("Gw-Lost"),
        data=data,
    )


def _kind(token: str, told: Mapping[str, str]) -> Kind | None:
    if "Gw-At" in told:
        return Kind.RECORD
    if token == names.FENCE:
        return _FENCES.get(told.get("Gw-Fence", ""))
    return {names.MARK: Kind.MARK, names.FILL: Kind.FILL}.get(token)


def _moment(text: str) -> float | None:
    try:
        at = float(text)
    except ValueError:
        return None
    return at if math.isfinite(at) else None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
