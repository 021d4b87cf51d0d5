"""What a subscriber may ask, and how it is answered (pure). docs/wire.md describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeGuard

from gwcluster.errors import WireError, quoted
from gwcluster.wire.codec import pack, unpack_map
from gwcluster.wire.events import WIRE_VERSION
from gwcluster.wire.permissions import Permission
from gwcluster.wire.refusals import Refusal

MAX_REQUEST_BYTES: Final = 64 << 10
MAX_ID_BYTES: Final = 1 << 10
MAX_ITEMS: Final = 1024
MAX_DEPTH: Final = 32
MAX_EVENTS: Final = 1000
MAX_ANSWER_BYTES: Final = 1 << 20
"""Of the frames in one answer; a single event may have more."""

MAX_NAMES: Final = 256
MAX_NAME_CHARS: Final = 100
MAX_OFFSET: Final = 1 << 53

WRONG_EPOCH: Final = "wrong_epoch"
EXPIRED: Final = "expired"
"""Error codes of replays beside those in `Refusal`."""

OPS: Final = ("replay", "send", "status", "restart", "drain")
_EPOCH: Final = re.compile("[0-9a-f]{16}")

Frames = tuple[bytes, bytes, bytes]


class BadRequestError(WireError):
    """A request is not understood; the message names key, value, and what would be right.

    Attributes:
        id: that of the request, None if that can't be told.
    """

    def __init__(self, message: str, id: Any = None) -> None:  # noqa: A002 - the wire's word
        super().__init__(message)
        self.id = id


@dataclass(frozen=True, slots=True)
class Replay:
    """Events of one shard out of its log.

    Attributes:
        id: the client's, of any type.
        epoch: identity of the log that is meant; None: whichever it is.
        after: only events behind this offset; None: from the oldest that is left.
        names: only events of these names; None: all.
        limit: most events in the answer, 0 to 1000.
        max_bytes: most bytes of frames in the answer, unless the first event alone has more.
    """

    needs: ClassVar = Permission.READ
    id: Any
    shard: int
    epoch: str | None
    after: int | None
    names: frozenset[str] | None
    limit: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Send:
    """A payload for Discord. Only `id` has been looked at; the rest is checked where it is sent from."""

    needs: ClassVar = Permission.SEND
    id: Any
    payload: Any
    shard: Any
    guild_id: Any
    ttl_s: Any


@dataclass(frozen=True, slots=True)
class Status:
    """How the cluster is."""

    needs: ClassVar = Permission.READ
    id: Any


@dataclass(frozen=True, slots=True)
class Restart:
    """Have workers restarted.

    Attributes:
        shard: whose; None: all.
        rolling: of all, one after the other.
    """

    needs: ClassVar = Permission.OPERATE
    id: Any
    shard: int | None
    rolling: bool


@dataclass(frozen=True, slots=True)
class Drain:
    """Have the asked host hand its shards to other hosts, one after the other."""

    needs: ClassVar = Permission.OPERATE
    id: Any


Request = Replay | Send | Status | Restart | Drain


def parse(body: bytes) -> Request:
    """Return the request in the last frame of a message; unknown keys are ignored.

    Raises:
        BadRequestError: answer it with `refused` and its id.
    """
    try:
        fields = unpack_map(body, max_bytes=MAX_REQUEST_BYTES, max_items=MAX_ITEMS, max_depth=MAX_DEPTH)
    except WireError as error:
        raise BadRequestError(f"not a request: {error}") from error
    id = fields.get("id")  # noqa: A001 - the wire's word
    if (size := len(pack(id))) > MAX_ID_BYTES:
        raise BadRequestError(f"id has {size} bytes as msgpack; at most {MAX_ID_BYTES} are sent back")
    try:
        return _request(id, fields)
    except BadRequestError as error:
        error.id = id
        raise


def encode_send(ask: Send) -> bytes:
    """Return a `send` request as bytes, for another host to answer."""
    fields = {"payload": ask.payload, "shard": ask.shard, "guild_id": ask.guild_id, "ttl": ask.ttl_s}
    said = {key: value for key, value in fields.items() if value is not None}
    return pack({"v": WIRE_VERSION, "id": None, "op": "send", **said})


def accepted(id: Any, **fields: Any) -> bytes:  # noqa: A002 - the wire's word
    """Return the answer to a request that was done."""
    return pack({"v": WIRE_VERSION, "id": id, "ok": True, **fields})


def refused(
    id: Any,  # noqa: A002 - the wire's word
    code: str,
    message: str,
    *,
    retry_after_s: float | None = None,
    **more: Any,
) -> bytes:
    """Return the answer to a request that wasn't done.

    Args:
        code: one of `Refusal`, `WRONG_EPOCH` or `EXPIRED`.
        message: words for people.
        retry_after_s: when to try again, None if that is of no use or nobody knows.
        more: what belongs to the code.
    """
    error: dict[str, Any] = {"code": str(code), "message": message, **more}
    if retry_after_s is not None:
        error["retry_after"] = retry_after_s
    return pack({"v": WIRE_VERSION, "id": id, "ok": False, "error": error})


def replayed(
    ask: Replay,
    *,
    epoch: str,
    events: Sequence[Frames],
    holes: Sequence[tuple[int, int]],
    more: bool,
    last: int | None,
    oldest: int,
    newest: int | None,
) -> bytes:
    """Return the answer to a replay; docs/wire.md says what each of them means."""
    return accepted(
        ask.id,
        shard=ask.shard,
        epoch=epoch,
        events=events,
        holes=holes,
        more=more,
        last=last,
        oldest=oldest,
        newest=newest,
    )


def bad_request(error: BadRequestError) -> bytes:
    """Return the answer to what is no request."""
    return refused(error.id, Refusal.BAD_REQUEST, str(error))


def _request(id: Any, fields: Mapping[str, Any]) -> Request:  # noqa: A002 - the wire's word
    version = fields.get("v")
    if not _is_whole(version) or version < 1:
        raise _bad("v", version, f"the wire version, {WIRE_VERSION}")
    if version > WIRE_VERSION:
        raise BadRequestError(
            f"a request of wire version {quoted(version)}; this side reads up to {WIRE_VERSION}: upgrade it"
        )
    match fields.get("op"):
        case "replay":
            return _replay(id, fields)
        case "send":
            get = fields.get
            return Send(id, get("payload"), get("shard"), get("guild_id"), get("ttl"))
        case "status":
            return Status(id)
        case "restart":
            return _restart(id, fields)
        case "drain":
            return Drain(id)
        case op:
            raise _bad("op", op, f"one of {', '.join(OPS)}")


def _replay(id: Any, fields: Mapping[str, Any]) -> Replay:  # noqa: A002 - the wire's word
    epoch, after = fields.get("epoch"), fields.get("after")
    if epoch is not None and not (isinstance(epoch, str) and _EPOCH.fullmatch(epoch)):
        raise _bad("epoch", epoch, "16 lower-case hex digits, or nil for any")
    if after is not None:
        after = _whole("after", after, -1, MAX_OFFSET, "or nil for the oldest that is left")
    return Replay(
        id=id,
        shard=_whole("shard", fields.get("shard"), 0, MAX_OFFSET),
        epoch=epoch,
        after=after,
        names=_names(fields.get("names")),
        limit=_whole("limit", fields.get("limit", MAX_EVENTS), 0, MAX_EVENTS),
        max_bytes=_whole("max_bytes", fields.get("max_bytes", MAX_ANSWER_BYTES), 1, MAX_ANSWER_BYTES),
    )


def _restart(id: Any, fields: Mapping[str, Any]) -> Restart:  # noqa: A002 - the wire's word
    shard, every, rolling = fields.get("shard"), fields.get("all", False), fields.get("rolling", False)
    for key, value in (("all", every), ("rolling", rolling)):
        if not isinstance(value, bool):
            raise _bad(key, value, "true or false")
    if shard is None:
        if not every:
            raise BadRequestError("either shard or all is needed, such as shard: 3 or all: true")
        return Restart(id, None, rolling)
    if every or rolling:
        raise BadRequestError(
            f"{'all' if every else 'rolling'} is true and shard is given; keep one of the two"
        )
    return Restart(id, _whole("shard", shard, 0, MAX_OFFSET), rolling=False)


def _names(names: object) -> frozenset[str] | None:
    if names is None:
        return None
    if not isinstance(names, list) or len(names) > MAX_NAMES:
        raise _bad("names", names, f"a list of at most {MAX_NAMES} event names, or nil for all")
    for name in names:
        if not isinstance(name, str) or len(name) > MAX_NAME_CHARS:
            raise _bad("names", names, f"event names of at most {MAX_NAME_CHARS} characters, or nil for all")
    return frozenset(names)


def _whole(key: str, value: object, least: int, most: int, otherwise: str = "") -> int:
    if not _is_whole(value) or not least <= value <= most:
        beyond = f" to {most}" if most != MAX_OFFSET else ""
        raise _bad(key, value, f"a whole number from {least}{beyond}{', ' if otherwise else ''}{otherwise}")
    return value


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _bad(key: str, value: object, right: str) -> BadRequestError:
    return BadRequestError(f"{key} is {quoted(value)}; it should be {right}")
