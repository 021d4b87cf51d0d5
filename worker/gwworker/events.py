"""What can happen to a session (pure): the events that its machine takes."""

from __future__ import annotations

from dataclasses import dataclass

from gwcluster.wire.control import Conditions
from gwworker.scan import Ack, BareResumed, BeatRequest, Hello, InvalidSession, Ready, Reconnect, UnknownOp


@dataclass(frozen=True, slots=True)
class Opened:
    """The websocket handshake succeeded."""


@dataclass(frozen=True, slots=True)
class DialFailed:
    """No websocket came about. `retry_after_s` is what the server asked for, else 0."""

    reason: str
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Lost:
    """The socket is closed; `code` is the peer's close code, None without a close frame.

    `fault` says what of the peer's made us end it, None if nothing did.
    """

    code: int | None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Faulty:
    """The peer sent what can't be read; everything after it on this connection is suspect."""

    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """A RESUMED dispatch."""

    seq: int


@dataclass(frozen=True, slots=True)
class Permitted:
    """The coordinator lets this shard send one IDENTIFY before the monotonic moment `until`."""

    until: float


@dataclass(frozen=True, slots=True)
class Unsent:
    """IDENTIFY or RESUME, just asked for, was not written: the connection is closing already."""


@dataclass(frozen=True, slots=True)
class Slept:
    """The machine was suspended for so many seconds; the monotonic clock knows nothing of them."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Doubted:
    """Something outside suggests that the connection may be dead."""

    reason: str


@dataclass(frozen=True, slots=True)
class Draining:
    """Stop, and keep the session for whoever comes next."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """`due` has passed."""


Said = (
    Hello
    | Ack
    | BeatRequest
    | Ready
    | Resumed
    | BareResumed
    | Reconnect
    | InvalidSession
    | UnknownOp
    | Faulty
)
"""What the gateway says on a connection."""

Event = (
    Opened | DialFailed | Lost | Permitted | Unsent | Conditions | Slept | Doubted | Draining | Tick | Said
)
