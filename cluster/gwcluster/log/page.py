"""What a reader gives out (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from gwcluster.errors import LogError
from gwcluster.log.record import NO_SEQ, Entry


@dataclass(frozen=True, slots=True)
class Record:
    """One event as it was published.

    Attributes:
        name: event name; with the shard it makes the topic.
        header, payload: frames 1 and 2.
        offset, session, seq, at: what the header says.
    """

    name: str
    header: bytes
    payload: bytes
    offset: int
    session: int
    seq: int | None
    at: float

    @classmethod
    def of(cls, entry: Entry, data: bytes) -> Record:
        """Return the event that stands at `entry` in `data`."""
        return cls(
            name=data[entry.name : entry.header].decode("ascii"),
            header=data[entry.header : entry.payload],
            payload=data[entry.payload : entry.end],
            offset=entry.offset,
            session=entry.session,
            seq=None if entry.seq == NO_SEQ else entry.seq,
            at=entry.at,
        )


@dataclass(frozen=True, slots=True)
class Hole:
    """Offsets, from `first` to `last`, that may have been published but are not in the log."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to one question.

    Attributes:
        epoch: identity of the log.
        records: in order.
        holes: first and last offset of each stretch up to `last` that the log doesn't hold.
        last: all that was asked for up to this offset is here; ask on with it. None: from the beginning.
        more: whether the log has offsets beyond `last`.
        oldest: the oldest offset that is left; what comes next, if none is.
        newest: the last offset of the log; None when there was none yet.
    """

    epoch: str
    records: list[Record]
    holes: list[tuple[int, int]]
    last: int | None
    more: bool
    oldest: int
    newest: int | None


class NoLog(LogError):  # noqa: N818 - a state of affairs, not a mistake
    """Nothing was ever logged here, or all of it was removed."""


class Expired(LogError):  # noqa: N818 - a state of affairs, not a mistake
    """Offsets that were asked for are no longer in the log: count them as missed, go on before `oldest`.

    Attributes:
        oldest: the oldest offset that is left.
    """

    def __init__(self, after: int, oldest: int) -> None:
        super().__init__(f"offset {after + 1} has expired; the oldest one left is {oldest}")
        self.oldest = oldest
