"""Decides nothing: what happened, as records in memory and, if wanted, as JSON lines while it happens."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from gwsimulator.records import (
    Beat,
    Close,
    Command,
    Connection,
    Dispatch,
    Frame,
    Hello,
    Identify,
    Other,
    Refused,
    RestCall,
    Resume,
    Rule,
    Stall,
    Violation,
)


class Sink(Protocol):
    """Where lines go; an open text file is one."""

    def write(self, line: str, /) -> object:
        """Take one line, its newline included."""

    def flush(self) -> object:
        """Let readers see what was written."""


_KINDS: Final = {
    Connection: "connection",
    Refused: "refused",
    Hello: "hello",
    Frame: "frame",
    Stall: "stall",
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
    """Everything that happened, in order. Times (`at`) are the simulator's clock: monotonic seconds."""

    keep_dispatches: int = 1_000_000
    keep_payload_bytes: int = 256 * 1024 * 1024
    sink: Sink | None = None
    """Gets each record as a JSON line."""
    sink_payloads: bool = False
    """Dispatch lines carry `payload` (base64) instead of `sha256`."""

    connections: list[Connection] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    hellos: list[Hello] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    stalls: list[Stall] = field(default_factory=list)
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

    def add(self, record: Other) -> None:
        """Record anything but a dispatch."""
        match record:
            case Connection():
                self.connections.append(record)
            case Refused():
                self.refused.append(record)
            case Hello():
                self.hellos.append(record)
            case Frame():
                self.frames.append(record)
            case Stall():
                self.stalls.append(record)
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

    def rules_broken(self) -> set[Rule]:
        """Return the names of the rules that any client broke."""
        return {violation.rule for violation in self.violations}
