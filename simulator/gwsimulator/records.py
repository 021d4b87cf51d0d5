"""Decides nothing: the kinds of records in the ledger, and the names of the rules a client can break.

Times (`at`) are the simulator's clock: monotonic seconds. `link` numbers the websockets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Rule = Literal[
    "already_authenticated",  # a second IDENTIFY or RESUME on one connection
    "api_version",  # REST not under /api/v10
    "authorization",  # REST without a valid token
    "bad_payload",  # `d` lacks what its op needs
    "bad_presence",  # a presence lacks one of its four fields
    "bad_token",  # IDENTIFY or RESUME with an invalid token
    "bucket_order",  # a shard's first IDENTIFY before one of an earlier bucket
    "daily_limit",  # more IDENTIFYs than a day allows
    "disallowed_intents",  # a privileged intent that was not granted
    "heartbeat_seq",  # a heartbeat's `d` beyond what was sent
    "identify_window",  # IDENTIFY too soon after another of its key
    "invalid_intents",  # intents that don't exist
    "invalid_seq",  # RESUME from a seq that was never sent
    "invalid_shard",  # shard not [id, count] with 0 <= id < count
    "invalid_version",  # gateway version other than 10
    "invalid_answers",  # more than 10,000 REST answers 401, 403 or 429 in 10 minutes
    "large_threshold",  # outside 50 to 250
    "late_heartbeat",  # no heartbeat in time
    "missing_intents",  # IDENTIFY without intents
    "members_intent",  # op 8 for members or presences that the intents don't cover
    "missing_properties",  # IDENTIFY without properties
    "not_authenticated",  # a command before READY or after op 9
    "presence_rate",  # more than 5 presences in 20 s
    "rest_rate",  # more REST requests in a second than are allowed
    "resume_compression",  # RESUME under another compression than the session's
    "resume_url_without_query",  # resume_gateway_url used without v or encoding
    "send_rate",  # more than 120 messages in 60 s
    "shard_attached_twice",  # IDENTIFY for a shard that a healthy connection holds; legal, but never wanted
    "shard_multiple",  # a large bot's shard count
    "sharding_required",  # more than 2500 guilds on the shard
    "too_large",  # a message of more than 4096 bytes
    "undecodable",  # a message that is no JSON object with an integer op
    "unknown_compression",  # compress= something that isn't offered
    "unknown_encoding",  # encoding other than json
    "unknown_opcode",  # an op that bots don't send
    "url_without_query",  # gateway URL used without v or encoding
    "user_agent",  # REST without a User-Agent as Discord asks for
    "wrong_resume_host",  # RESUME on the host that REST names
]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One dispatch of one session, recorded when it got its sequence number, not when it was (re)sent."""

    at: float
    session: str
    shard: int
    shards: int
    seq: int
    name: str
    size: int
    payload: bytes | None
    """The whole message as sent, before compression; None when the ledger's memory was full."""
    digest: str | None

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the payload in hex."""
        return self.digest or hashlib.sha256(self.payload or b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Connection:
    """A websocket that was opened. `host` is `gateway` or `resume`.

    `peer` is the client's address and port as the socket has them: clients that come from several machines,
    or as if from several, are told apart by it.
    """

    at: float
    link: int
    host: str
    query: Mapping[str, str]
    peer: str = ""

    @property
    def origin(self) -> str:
        """Return the address alone: all connections of one machine have it."""
        return self.peer.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class Refused:
    """A dial that became no websocket: `status` is the HTTP one, 0 when there was no answer.

    None: the host stopped listening; dials from then on are not seen.
    """

    at: float
    host: str
    status: int | None


@dataclass(frozen=True, slots=True)
class Hello:
    """A HELLO that was sent."""

    at: float
    link: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Frame:
    """A message of a client, whatever is in it, and its bytes."""

    at: float
    link: int
    size: int


@dataclass(frozen=True, slots=True)
class Stall:
    """The server stopped reading and writing on an open connection, or went on."""

    at: float
    link: int
    stalled: bool


@dataclass(frozen=True, slots=True)
class Identify:
    """An IDENTIFY that arrived. `outcome` is `ready`, `op9` or the close code as text."""

    at: float
    link: int
    shard: int | None
    shards: int | None
    intents: int | None
    outcome: str
    session: str | None


@dataclass(frozen=True, slots=True)
class Resume:
    """A RESUME that arrived. `outcome`: `resumed`, `op9` or the close code; `replayed` counts dispatches."""

    at: float
    link: int
    host: str
    shard: int | None
    session: str
    seq: int
    outcome: str
    replayed: int
    same_token: bool = True
    """The token was the one that the session began with."""
    took_over: int | None = None
    """The connection that still had the session."""


@dataclass(frozen=True, slots=True)
class Close:
    """The end of a websocket. `code` None: no closing frame came or went (RST, EOF, abort)."""

    at: float
    link: int
    by: Literal["client", "server"]
    code: int | None
    reason: str
    shard: int | None
    session: str | None


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a client broke."""

    at: float
    rule: Rule
    shard: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class RestCall:
    """One REST request and the status it got (0: the connection was cut instead)."""

    at: float
    path: str
    status: int
    not_before: float | None = None
    """When it may be asked again, as a 429 told."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat; `seq` is its `d`."""

    at: float
    link: int
    shard: int | None
    seq: int | None
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A client's op 3, 4, 8, 31 or 43."""

    at: float
    link: int
    shard: int
    op: int
    data: Any


Other = (
    Connection
    | Refused
    | Hello
    | Frame
    | Stall
    | Identify
    | Resume
    | Close
    | Violation
    | RestCall
    | Beat
    | Command
)
"""Every record but a dispatch."""
