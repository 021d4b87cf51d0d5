"""What a subscriber is handed (pure)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from gwcluster.errors import WireError
from gwcluster.wire.events import Header, decode_header, parse_topic

_fast_loads: Callable[[bytes], Any] | None
try:
    from orjson import loads as _fast_loads
except ImportError:  # the standard library's parser does as well, only slower
    _fast_loads = None

_UNPARSED: Final = object()


class Event:
    """One event, or one of gwcluster's own notices (their names begin with `GWCLUSTER_`).

    Attributes:
        name: such as `MESSAGE_CREATE`.
        shard, shards: shard id, from 0, and shard count.
        epoch: 16 hex digits, the identity of the shard's log.
        offset: position in the shard's log, from 0, contiguous within an epoch.
        session: counts the shard's sessions within the epoch, from 1.
        seq: Discord's `s`, comparable only within one session; None for notices.
        at: Unix seconds at which the worker had received it.
        payload: the whole dispatch, as Discord sent it.
    """

    __slots__ = ("_data", "at", "epoch", "name", "offset", "payload", "seq", "session", "shard", "shards")

    def __init__(self, name: str, header: Header, payload: bytes) -> None:
        self.name = name
        self.shard = header.shard
        self.shards = header.shards
        self.epoch = header.epoch
        self.offset = header.offset
        self.session = header.session
        self.seq = header.seq
        self.at = header.at
        self.payload = payload
        self._data: Any = _UNPARSED

    @property
    def data(self) -> Any:  # whatever Discord sends
        """The dispatch's `d`, parsed when it is asked for first.

        Raises:
            WireError: the payload is no JSON object with a `d`; `payload` has it as it came.
        """
        if self._data is _UNPARSED:
            self._data = _parse(self.payload)
        return self._data

    def __repr__(self) -> str:
        return f"<Event {self.name} shard={self.shard} offset={self.offset} seq={self.seq}>"


def read_frames(frames: list[bytes]) -> tuple[Event, int | None]:
    """Return the event in three frames, and the offset of the one of its name before it.

    Raises:
        WireVersionError: a newer gwcluster sent it; upgrade this side.
        WireError: they are no event; drop them.
    """
    if len(frames) != 3:
        raise WireError(f"a message of {len(frames)} frames instead of 3")
    name, shard = parse_topic(frames[0])
    header = decode_header(frames[1])
    if header.shard != shard:
        raise WireError(f"topic {name}.{shard}. with a header of shard {header.shard}")
    return Event(name, header, frames[2]), header.prev


def _parse(payload: bytes) -> Any:
    value: Any = None
    if _fast_loads is not None:
        try:
            value = _fast_loads(payload)
        except ValueError:  # stricter than Discord is with lone surrogates
            value = None
    if value is None:
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise WireError(f"a payload that is no JSON: {error}") from error
    if not isinstance(value, dict) or "d" not in value:
        raise WireError("a payload that is no JSON object with a `d`")
    return value["d"]
