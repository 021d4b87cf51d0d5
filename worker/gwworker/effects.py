"""What a session asks for (pure): the effects that its machine returns and a shell performs."""

from __future__ import annotations

from dataclasses import dataclass

from gwcluster.wire.notices import ShardState


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a websocket; `resume_url` None means the address to identify at."""

    resume_url: str | None


@dataclass(frozen=True, slots=True)
class SendBeat:
    """Send a heartbeat with the log's last seq."""


@dataclass(frozen=True, slots=True)
class SendIdentify:
    """Send IDENTIFY and tell the coordinator that the permit is used, or else be told `Unsent`."""


@dataclass(frozen=True, slots=True)
class SendResume:
    """Send RESUME with the log's last seq, or else be told `Unsent`."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """Send a close frame with `code`, then close; `Lost` follows."""

    code: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop the socket without further ado."""


@dataclass(frozen=True, slots=True)
class AskPermit:
    """Ask the coordinator for a permit to identify."""


@dataclass(frozen=True, slots=True)
class WithdrawPermit:
    """The connection that waited for a permit is gone."""


@dataclass(frozen=True, slots=True)
class ReturnPermit:
    """The permit came when it was of no use."""


@dataclass(frozen=True, slots=True)
class TellIdentifyRefused:
    """Op 9 answered IDENTIFY."""


@dataclass(frozen=True, slots=True)
class TellHostFailed:
    """This resume address does not work while another one does; others needn't find out themselves."""

    url: str


@dataclass(frozen=True, slots=True)
class TellSentAway:
    """Op 7 came; if it comes to many shards at once, they are to spread their dials."""


@dataclass(frozen=True, slots=True)
class Remember:
    """Save the session durably: number, id and address."""

    session: int
    session_id: str
    resume_url: str | None


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the saved session."""


@dataclass(frozen=True, slots=True)
class TellLost:
    """Log that an earlier session ended where events may be missing."""

    session: int
    reason: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Log and publish the dispatch that this event came from."""


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the world the shard's state."""

    state: ShardState
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Discord refuses this shard, or the whole cluster; never try again."""

    cluster: bool
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Say:
    """Write a log line; `level` is one of logging's."""

    level: int
    text: str


Effect = (
    Dial
    | SendBeat
    | SendIdentify
    | SendResume
    | Hangup
    | Abort
    | AskPermit
    | WithdrawPermit
    | ReturnPermit
    | TellIdentifyRefused
    | TellHostFailed
    | TellSentAway
    | Remember
    | Forget
    | TellLost
    | Deliver
    | Report
    | GiveUp
    | Say
)
