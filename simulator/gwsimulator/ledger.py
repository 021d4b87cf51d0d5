"""Decides nothing: what happened, as records in memory and, if wanted, as JSON lines while it happens."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol


class Sink(Protocol):
    """Where lines go; an open text file is one."""

    def write(self, line: str, /) -> object:
        """Take one line, its newline included."""

    def flush(self) -> object:
        """Let readers see what was written."""


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
    """A websocket that was opened. `host` is `gateway` or `resume`."""

    at: float
    link: int
    host: str
    query: Mapping[str, str]


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
    """A RESUME that arrived. `outcome` is `resumed`, `op9` or the close code as text; `replayed` counts dispatches."""

    at: float
    link: int
    host: str
    shard: int | None
    session: str
    seq: int
    outcome: str
    replayed: int


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
    rule: str
    shard: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class RestCall:
    """One REST request and the status it got (0: the connection was cut instead)."""

    at: float
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat; `seq` is its `d`."""

    at: float
    link: int
    shard: int | None
    seq: int | None


@dataclass(frozen=True, slots=True)
class Command:
    """A client's op 3, 4, 8, 31 or 43."""

    at: float
    link: int
    shard: int
    op: int
    data: Any


Record = Dispatch | Connection | Identify | Resume | Close | Violation | RestCall | Beat | Command

_KINDS: Final = {
    Connection: "connection",
    Identify: "identify",
    Resume: "resume",
    Close: "close",
    Violation: "violation",
    RestCall: "rest",
    Beat: "beat",
    Command: "command",
}


@dataclass(slots=True)
class Ledger:
    """Everything that happened, in order of happening. Times are the simulator's clock (monotonic seconds)."""

    keep_dispatches: int = 1_000_000
    keep_payload_bytes: int = 256 * 1024 * 1024
    sink: Sink | None = None
    """Gets each record as a JSON line."""
    sink_payloads: bool = False
    """Dispatch lines carry `payload` (base64) instead of `sha256`."""

    connections: list[Connection] = field(default_factory=list)
    identifies: list[Identify] = field(default_factory=list)
    resumes: list[Resume] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    rest_calls: list[RestCall] = field(default_factory=list)
    beats: list[Beat] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    dispatched: int = 0
    """How many dispatches there were, also those no longer kept."""
    _dispatches: deque[Dispatch] = field(default_factory=deque)
    _kept_bytes: int = 0

    def dispatches(
        self, *, session: str | None = None, shard: int | None = None, name: str | None = None
    ) -> list[Dispatch]:
        """Return the kept dispatches in order, of one session, shard or name if given."""
        return [
            record
            for record in list(self._dispatches)
            if (session is None or record.session == session)
            and (shard is None or record.shard == shard)
            and (name is None or record.name == name)
        ]

    def dispatch(
        self, at: float, session: str, shard: tuple[int, int], seq: int, name: str, payload: bytes
    ) -> None:
        """Record one dispatch; the hot path."""
        self.dispatched += 1
        if self.keep_dispatches:
            if len(self._dispatches) >= self.keep_dispatches:
                self._kept_bytes -= len(self._dispatches.popleft().payload or b"")
            keep = self._kept_bytes + len(payload) <= self.keep_payload_bytes
            digest = None if keep else hashlib.sha256(payload).hexdigest()
            self._kept_bytes += len(payload) if keep else 0
            self._dispatches.append(
                Dispatch(
                    at,
                    session,
                    shard[0],
                    shard[1],
                    seq,
                    name,
                    len(payload),
                    payload if keep else None,
                    digest,
                )
            )
        if self.sink is not None:
            if self.sink_payloads:
                body = f'"payload":"{base64.b64encode(payload).decode()}"'
            else:
                body = f'"sha256":"{hashlib.sha256(payload).hexdigest()}"'
            self.sink.write(
                f'{{"kind":"dispatch","at":{at},"session":"{session}","shard":{shard[0]},"shards":{shard[1]},'
                f'"seq":{seq},"name":{json.dumps(name)},"size":{len(payload)},{body}}}\n'
            )

    def add(
        self, record: Connection | Identify | Resume | Close | Violation | RestCall | Beat | Command
    ) -> None:
        """Record anything but a dispatch."""
        match record:
            case Connection():
                self.connections.append(record)
            case Identify():
                self.identifies.append(record)
            case Resume():
                self.resumes.append(record)
            case Close():
                self.closes.append(record)
            case Violation():
                self.violations.append(record)
            case RestCall():
                self.rest_calls.append(record)
            case Beat():
                self.beats.append(record)
            case Command():
                self.commands.append(record)
        if self.sink is not None:
            fields = {name: getattr(record, name) for name in record.__dataclass_fields__}
            self.sink.write(
                json.dumps({"kind": _KINDS[type(record)], **fields}, separators=(",", ":")) + "\n"
            )

    def flush(self) -> None:
        """Let readers of the sink see what was written."""
        if self.sink is not None:
            self.sink.flush()

    def rules_broken(self) -> set[str]:
        """Return the names of the rules that any client broke."""
        return {violation.rule for violation in self.violations}
