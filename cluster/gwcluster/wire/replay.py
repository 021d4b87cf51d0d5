"""Asking a cluster (pure): questions as bytes, and what may be answered; docs/wire.md describes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gwcluster.errors import WireError, WireVersionError, quoted
from gwcluster.wire.codec import pack, unpack_map
from gwcluster.wire.events import WIRE_VERSION

MAX_ANSWER_BYTES: Final = 320 << 20
"""Of one answer. A page is about 1 MiB; one event is handed out however large it is, and those of Discord may
be 256 MiB."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for a stretch of one shard's log.

    Attributes:
        epoch: of the log; None: whatever it is now.
        after: the offset before the first one asked for; None: from the oldest that is left.
        names: event names; None: all.
        only_place: don't send events, only say where the log stands.
    """

    shard: int
    epoch: str | None
    after: int | None
    names: Sequence[str] | None
    only_place: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of one shard's log.

    Attributes:
        events: three frames each, by offset.
        holes: first and last offset of what was published, maybe, but isn't in the log.
        last: all that was asked for up to here is in this page; None: the log is empty.
        oldest, newest: the log's first offset and last; `newest` is None while it is empty.
    """

    shard: int
    epoch: str
    events: list[list[bytes]]
    holes: list[tuple[int, int]]
    last: int | None
    oldest: int
    newest: int | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a question has no other answer.

    Attributes:
        code: `wrong_epoch`, `expired`, `unknown_shard`, `not_ready`, `rate_limited`, `bad_request`, or for
            commands one of `refusals.Refusal`.
        message: words for people.
        retry_after_s: when to ask again, if that helps.
        oldest: with `expired`: the oldest offset that is left.
        no_log: with `not_ready`: the shard has no log, since it never ran.
    """

    code: str
    message: str
    retry_after_s: float | None = None
    oldest: int | None = None
    no_log: bool = False


def encode_ask(ask: Ask, number: int, *, limit: int, max_bytes: int) -> bytes:
    """Return a question as a request with the id `number`.

    Args:
        limit, max_bytes: most events, and bytes of their frames, that an answer may have.
    """
    return pack(
        {
            "v": WIRE_VERSION,
            "id": number,
            "op": "replay",
            "shard": ask.shard,
            "epoch": ask.epoch,
            "after": ask.after,
            "names": None if ask.names is None else list(ask.names),
            "limit": 0 if ask.only_place else limit,
            "max_bytes": max_bytes,
        }
    )


def encode_request(op: str, number: int, **fields: object) -> bytes:
    """Return any other request with the id `number`."""
    return pack({"v": WIRE_VERSION, "id": number, "op": op, **fields})


def decode_answer(body: bytes) -> tuple[Any, dict[str, Any] | Refused]:
    """Return the id that an answer carries, and its fields, or the refusal that it is.

    Raises:
        WireVersionError: its version is above ours; upgrade this side.
        WireError: it is broken; the request remains unanswered.
    """
    fields = unpack_map(body, max_bytes=MAX_ANSWER_BYTES)
    version = fields.get("v")
    if not isinstance(version, int) or version > WIRE_VERSION:
        raise WireVersionError(
            f"an answer of wire version {quoted(version)}; this side reads up to {WIRE_VERSION}: upgrade it"
        )
    number = fields.get("id")
    if fields.get("ok") is True:
        return number, fields
    error = fields.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        raise WireError(f"an answer that is neither ok nor an error: {quoted(fields)}")
    retry, oldest = error.get("retry_after"), error.get("oldest")
    return number, Refused(
        error["code"],
        str(error.get("message", "")),
        float(retry) if isinstance(retry, int | float) and 0 <= retry < 1e9 else None,
        oldest if _is_count(oldest) else None,
        error.get("no_log") is True,
    )


def page_of(fields: dict[str, Any]) -> Page:
    """Return the page in an answer.

    Raises:
        WireError: it isn't one.
    """
    shard: Any = fields.get("shard")
    epoch: Any = fields.get("epoch")
    events: Any = fields.get("events")
    holes: Any = fields.get("holes")
    last: Any = fields.get("last")
    oldest: Any = fields.get("oldest")
    newest: Any = fields.get("newest")
    whole = (
        _is_count(shard)
        and isinstance(epoch, str)
        and isinstance(events, list)
        and all(_is_frames(frames) for frames in events)
        and isinstance(holes, list)
        and all(isinstance(hole, list) and len(hole) == 2 and all(map(_is_count, hole)) for hole in holes)
        and (last is None or _is_count(last))
        and _is_count(oldest)
        and (newest is None or _is_count(newest))
    )
    if not whole:
        raise WireError(f"not an answer to replay: {quoted(fields)}")
    return Page(shard, epoch, events, [(first, end) for first, end in holes], last, oldest, newest)


def _is_frames(frames: Any) -> bool:
    return isinstance(frames, list) and len(frames) == 3 and all(isinstance(frame, bytes) for frame in frames)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
