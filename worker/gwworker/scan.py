"""What a gateway payload says (pure): a literal prefix for dispatches, a full parse for all else.

Dispatches are nearly all of the traffic and nearly all of them begin with the same few bytes; those
cost one regular expression. Anything that does not is parsed whole, so that key order, white space,
escapes and unknown keys are Discord's business alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gwcluster.discord import Op
from gwcluster.errors import GwclusterError, quoted

_DISPATCH: Final = re.compile(rb'\{"t":"([A-Z0-9_]{1,100})","s":(0|[1-9][0-9]{0,17}),"op":0,"d":')
_GLUED: Final = re.compile(rb'\}\{"')
_DECODER: Final = json.JSONDecoder()
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,100}")
_SNOWFLAKE: Final = re.compile("[1-9][0-9]{0,18}")
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_MAX_SEQ: Final = 10**18 - 1
_MAX_INTERVAL_MS: Final = 3_600_000
"""Discord asks for 41 s. With more than an hour nobody would notice a dead connection; it is a mistake."""


class BadPayloadError(GwclusterError):
    """The gateway sent what can't be a payload: the stream is not to be trusted; reconnect and resume."""


class Dispatch(NamedTuple):
    """Op 0: an event. `name` is Discord's `t`, `seq` its `s`. A tuple, since one is made per event."""

    name: str
    seq: int


@dataclass(frozen=True, slots=True)
class Hello:
    """Op 10."""

    interval_s: float


@dataclass(frozen=True, slots=True)
class Ack:
    """Op 11."""


@dataclass(frozen=True, slots=True)
class BeatRequest:
    """Op 1: the gateway wants a heartbeat now."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Op 7."""


@dataclass(frozen=True, slots=True)
class InvalidSession:
    """Op 9."""

    resumable: bool


@dataclass(frozen=True, slots=True)
class UnknownOp:
    """An opcode that a bot does not know: counted and ignored."""

    op: int


@dataclass(frozen=True, slots=True)
class BareResumed:
    """RESUMED without a number of its own, as some gateways send it: the end of a replay and nothing else."""


Payload = Dispatch | Hello | Ack | BeatRequest | Reconnect | InvalidSession | UnknownOp | BareResumed


def scan(payload: bytes, *, whole: bool = False) -> Dispatch | None:
    """Return the dispatch in `payload` if its beginning and its braces leave no doubt, else None.

    Quotes inside Discord's strings are escaped, so no text of a user can forge the prefix. Cut or glued
    payloads are left to `parse`: a cut one ends wrongly or lacks a brace (unless braces in someone's text
    make up for it; no framing of websockets or zstd cuts there), and `}{"` is in no valid JSON (inside
    a string its quote would be escaped).

    Args:
        payload: as inflated.
        whole: the framing showed that it is not cut, so its braces need no counting.
    """
    match = _DISPATCH.match(payload)
    if (
        match is None
        or payload[-1] != 0x7D
        or not (whole or payload.count(b"{") == payload.count(b"}"))
        or _GLUED.search(payload)  # twice as fast as `in` with three bytes that are frequent
        or not (payload.isascii() or _is_utf8(payload))
    ):
        return None
    return Dispatch(match[1].decode("ascii"), int(match[2]))


def parse(payload: bytes) -> Payload:
    """Return what a whole payload says.

    Raises:
        BadPayloadError: it is not JSON, not an object, or lacks what its opcode needs; reconnect.
    """
    fields = _object(payload)
    op: Any = fields.get("op")
    if not _is_int(op):
        raise BadPayloadError(f"payload without an opcode: {quoted(payload)}")
    match op:
        case Op.DISPATCH:
            name: Any = fields.get("t")
            seq: Any = fields.get("s")
            if name == "RESUMED" and seq is None:
                return BareResumed()
            if not isinstance(name, str) or _NAME.fullmatch(name) is None or not _is_seq(seq):
                raise BadPayloadError(f"dispatch with t {quoted(name)} and s {quoted(seq)}")
            return Dispatch(name, seq)
        case Op.HELLO:
            return Hello(_interval_s(fields.get("d")))
        case Op.HEARTBEAT_ACK:
            return Ack()
        case Op.HEARTBEAT:
            return BeatRequest()
        case Op.RECONNECT:
            return Reconnect()
        case Op.INVALID_SESSION:
            return InvalidSession(fields.get("d") is True)
        case _:
            return UnknownOp(op)


def read(data: bytes) -> list[tuple[Payload, bytes]]:
    """Return each payload in `data` with its bytes: nearly always one, several when they were glued.

    Raises:
        BadPayloadError: `data` is not one or more payloads; reconnect.
    """
    try:
        return [(parse(data), data)]
    except BadPayloadError:
        found = [(parse(piece), piece) for piece in _split(data)]
        if len(found) < 2:
            raise
        return found


def _split(data: bytes) -> Iterator[bytes]:
    """Iterate over the JSON values in `data`; stop early, so that a megabyte of nonsense is soon refused.

    Raises:
        BadPayloadError: what comes next is no JSON.
    """
    try:
        text = data.decode()
        at = _space_end(text, 0)
        while at < len(text):
            _, end = _DECODER.raw_decode(text, at)
            yield text[at:end].encode()
            at = _space_end(text, end)
    except (ValueError, RecursionError) as error:
        raise BadPayloadError(f"not JSON: {quoted(data)} ({str(error) or type(error).__name__})") from error


def _space_end(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None, "no space at all is a match"
    return match.end()


@dataclass(frozen=True, slots=True)
class Ready:
    """The part of READY that opens a session, and the guilds that it lists."""

    seq: int
    session_id: str
    resume_url: str | None
    guilds: tuple[int, ...] = field(default=(), repr=False)


def parse_ready(payload: bytes, seq: int) -> Ready:
    """Return the session that a READY dispatch with that seq opens.

    Raises:
        BadPayloadError: there is no session id in it; reconnect.
    """
    data = _object(payload, _unwrapped).get("d")
    session_id = data.get("session_id") if isinstance(data, dict) else None
    if not isinstance(session_id, str) or not 0 < len(session_id) <= 256:
        raise BadPayloadError("READY without a session_id")
    assert isinstance(data, dict)
    url = data.get("resume_gateway_url")
    return Ready(seq, session_id, url if isinstance(url, str) else None, _listed(data.get("guilds")))


def _listed(guilds: object) -> tuple[int, ...]:
    """Return the ids of the guilds that READY lists; what is none doesn't matter for a session."""
    if not isinstance(guilds, list):
        return ()
    return tuple(guild for guild in guilds if type(guild) is int and 0 < guild < 1 << 64)


def _unwrapped(fields: dict[str, Any]) -> dict[str, Any] | int:
    """Return the id alone of what may be a guild: thousands of dicts at once are memory for good."""
    id_ = fields.get("id")
    if "op" in fields or "session_id" in fields or not isinstance(id_, str) or not _SNOWFLAKE.fullmatch(id_):
        return fields
    return int(id_)


def _object(payload: bytes, hook: Callable[[dict[str, Any]], object] | None = None) -> dict[str, Any]:
    try:
        fields = json.loads(payload.decode(), object_hook=hook)
    except (ValueError, RecursionError) as error:
        raise BadPayloadError(
            f"not JSON: {quoted(payload)} ({str(error) or type(error).__name__})"
        ) from error
    if not isinstance(fields, dict):
        raise BadPayloadError(f"not a JSON object: {quoted(payload)}")
    return fields


def _interval_s(data: object) -> float:
    interval = data.get("heartbeat_interval") if isinstance(data, dict) else None
    if isinstance(interval, bool) or not isinstance(interval, int | float):
        raise BadPayloadError(f"HELLO with heartbeat_interval {quoted(interval)}; milliseconds are expected")
    if not 1 <= interval <= _MAX_INTERVAL_MS:
        said = f"HELLO with heartbeat_interval {quoted(interval)} ms; at least 1, at most an hour"
        raise BadPayloadError(said)
    return interval / 1000


def _is_utf8(payload: bytes) -> bool:
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_seq(value: Any) -> bool:
    return _is_int(value) and 0 <= value <= _MAX_SEQ


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
