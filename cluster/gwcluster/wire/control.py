"""What coordinator, nursery and workers tell each other (pure): messages and their framing.

Each process pair shares one socket pair. A message is a big-endian u32 length and a msgpack map whose
`kind` names one of the classes below; the other keys are its fields.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from gwcluster.errors import WireError, quoted
from gwcluster.wire.codec import pack, unpack_map
from gwcluster.wire.shapes import field_types, fits

MAX_MESSAGE_BYTES: Final = 1 << 20

SHUN_S: Final = 600.0
"""How long a resume host that failed is left alone. A session that is resumed elsewhere lives as well; it
is only sent away a little more often."""

_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Job:
    """Coordinator to worker, first and once: what to run. The only carrier of the token.

    Attributes:
        shard, shards: shard id and shard count.
        gateway_url: where to identify; RESUME prefers the session's own address.
        plain_ok: the API is on loopback, so gateway addresses may be `ws` and on loopback too.
        include: names of events to keep, None for all; `exclude` is dropped from them.
        folder: of this shard's log.
        fanin: `ipc://` address of the coordinator's PULL socket.
        retention_bytes, retention_age_s: bounds of the log.
        nats: where the log is kept if not in `folder`: see `gwcluster.log.jetstream.opening.Taking`; may hold
            a password.
        stop_at: see `Leased`; None: no other host can take the shard over.
    """

    shard: int
    shards: int
    token: str = field(repr=False)
    gateway_url: str
    plain_ok: bool
    intents: int
    compression: str
    large_threshold: int
    presence: dict[str, Any] | None
    identify: dict[str, Any]
    include: list[str] | None
    exclude: list[str]
    folder: str
    fanin: str
    retention_bytes: int
    retention_age_s: float
    nats: dict[str, Any] | None = field(default=None, repr=False)
    stop_at: float | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """Coordinator to worker: the shard is this host's until `stop_at`; be gone then, without a close frame.

    `stop_at` is in seconds of the clock that goes on while the machine is suspended (CLOCK_BOOTTIME). It is
    well before the lease ends, after which another host dials.
    """

    stop_at: float


@dataclass(frozen=True, slots=True)
class Permit:
    """Coordinator to worker: you may send one IDENTIFY before `until`.

    `until` is a moment of the monotonic clock, which all processes of a machine share; a worker that was
    stalled past it returns the permit, since another shard may have one by then.
    """

    until: float


@dataclass(frozen=True, slots=True)
class AskPermit:
    """Worker to coordinator: connected, greeted, and without a session to resume."""


@dataclass(frozen=True, slots=True)
class WithdrawPermit:
    """Worker to coordinator: the connection that waited for a permit is gone."""


@dataclass(frozen=True, slots=True)
class PermitUsed:
    """Worker to coordinator: IDENTIFY was written `ago_s` seconds before this message."""

    ago_s: float


@dataclass(frozen=True, slots=True)
class PermitUnused:
    """Worker to coordinator: the permit came too late for its connection; nothing was sent."""


@dataclass(frozen=True, slots=True)
class IdentifyRefused:
    """Worker to coordinator: Discord answered IDENTIFY with op 9."""


@dataclass(frozen=True, slots=True)
class HostFailed:
    """Worker to coordinator: this resume address does not work, while the one to identify at does."""

    url: str


@dataclass(frozen=True, slots=True)
class SentAway:
    """Worker to coordinator: op 7 came."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Coordinator to worker: what other shards found out. All moments are of the monotonic clock.

    Attributes:
        bad_hosts: resume addresses that don't work, with the moment until which to leave them alone.
        storm_until: until then Discord asks many shards to reconnect, so dials are to be spread.
        ready_at: when the last READY came to any shard; minus infinity before the first.
        gateway_url: where to identify from now on; None: where the job says.
    """

    bad_hosts: dict[str, float]
    storm_until: float
    ready_at: float
    gateway_url: str | None = None


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Coordinator to worker: the presence for the next IDENTIFY, as in `Job`."""

    presence: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class StateChanged:
    """Worker to coordinator: the shard's new state, one of `ShardState`.

    Attributes:
        reason: words for people.
        degraded: why the log refuses records, None while it takes them.
    """

    state: str
    reason: str
    degraded: str | None


@dataclass(frozen=True, slots=True)
class Pulse:
    """Worker to coordinator, every few seconds: figures for people and health checks.

    Attributes:
        events: dispatches published since the worker began.
        unpushed: events that the fan-in had no room for; subscribers find them in the log.
        duplicates, gaps: dispatches whose seq came twice; jumps in seq.
        unknown_ops: payloads with an opcode that we don't know.
        latency_s: of the last heartbeat's ACK, None before the first.
        event_age_s, ack_age_s: seconds since the last dispatch and the last ACK; None before the first.
        resumes, identifies: since the worker began.
        session, offset: current session number, last offset.
        degraded: as in `StateChanged`.
        heartbeat_s: between two heartbeats, None before the first connection.
        guilds: of this shard, None while the worker can't know.
        session_age_s: since READY of the current session, None while the worker can't know.
    """

    events: int
    unpushed: int
    duplicates: int
    gaps: int
    unknown_ops: int
    latency_s: float | None
    event_age_s: float | None
    ack_age_s: float | None
    resumes: int
    identifies: int
    session: int
    offset: int
    degraded: str | None
    heartbeat_s: float | None = None
    guilds: int | None = None
    session_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Worker to coordinator, before it exits: Discord will not take this shard or this cluster.

    Attributes:
        cluster: True when every shard is concerned.
    """

    cluster: bool
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Command:
    """Coordinator to worker: send `{"op": op, "d": d}` to Discord. Answered with one `CommandDone`.

    Attributes:
        id: the coordinator's, never used twice.
        op, d: as a bot gave them, unchecked.
        ttl_s: how long it may wait to be sent; None: what its opcode deserves.
    """

    id: int
    op: Any
    d: Any
    ttl_s: float | None


@dataclass(frozen=True, slots=True)
class CommandDone:
    """Worker to coordinator: what became of the command `id`.

    Attributes:
        code: None if all is well, else one of `refusals.Refusal`.
        message: words for people.
        retry_after_s: when to try again, if a refusal says so.
        written_at: monotonic moment at which the socket had taken it; None also when a later command
            of the same kind made it superfluous.
    """

    id: int
    code: str | None
    message: str
    retry_after_s: float | None
    written_at: float | None


@dataclass(frozen=True, slots=True)
class Fork:
    """Coordinator to nursery, with one descriptor attached: make a worker that owns it."""

    shard: int


@dataclass(frozen=True, slots=True)
class Signal:
    """Coordinator to nursery: send `signal` to your child `pid`, if it still is one; comes back once done."""

    pid: int
    signal: int


@dataclass(frozen=True, slots=True)
class Forked:
    """Nursery to coordinator."""

    shard: int
    pid: int


@dataclass(frozen=True, slots=True)
class Exited:
    """Nursery to coordinator: a worker ended; `status` is its exit status, or minus the signal."""

    shard: int
    pid: int
    status: int


Message = (
    Job
    | Leased
    | Permit
    | AskPermit
    | WithdrawPermit
    | PermitUsed
    | PermitUnused
    | IdentifyRefused
    | HostFailed
    | SentAway
    | Conditions
    | PresenceChanged
    | StateChanged
    | Pulse
    | Refused
    | Command
    | CommandDone
    | Fork
    | Signal
    | Forked
    | Exited
)

_KINDS: Final[dict[str, type[Message]]] = {kind.__name__: kind for kind in Message.__args__}
_TYPES: Final = {kind: field_types(kind) for kind in Message.__args__}


def encode(message: Message) -> bytes:
    """Return one framed message."""
    fields = {name: getattr(message, name) for name in _TYPES[type(message)]}
    body = pack({"kind": type(message).__name__, **fields})
    return _LENGTH.pack(len(body)) + body


class Unframer:
    """Cuts a byte stream into messages; holds at most one incomplete message."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that `data` completes.

        Raises:
            WireError: the peer does not keep to the framing; hang up.
        """
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_MESSAGE_BYTES:
                raise WireError(
                    f"a control message of {length} bytes; at most {MAX_MESSAGE_BYTES} are accepted"
                )
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield _decode(body)


def _decode(body: bytes) -> Message:
    try:
        fields = unpack_map(body, max_bytes=MAX_MESSAGE_BYTES)
    except (WireError, RecursionError):  # its message quotes the body, and a Job's begins with the token
        raise WireError(f"a control message of {len(body)} bytes that is no msgpack map") from None
    name = fields.pop("kind", None)
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise WireError(f"a control message of no known kind: {quoted(sorted(fields))}")
    types = _TYPES[kind]
    if not fields.keys() <= types.keys():  # a newer side may say more
        fields = {name: value for name, value in fields.items() if name in types}
    for field_name, value in fields.items():
        if not fits(value, types[field_name]):
            raise WireError(f"a {kind.__name__} message whose {field_name} is a {type(value).__name__}")
    try:
        return kind(**fields)
    except TypeError as error:
        raise WireError(f"a {kind.__name__} message with wrong fields: {quoted(sorted(fields))}") from error
