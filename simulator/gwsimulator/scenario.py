"""Decides nothing: the faults that are waiting to happen, for rules and REST to run into."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Greeting = Literal["silent", "op7", "refuse", "bad_interval", "second_hello"]
"""What a new connection meets instead of a plain HELLO; `refuse` is a 503 instead of the upgrade."""

Mangle = Literal["duplicate", "gap", "corrupt"]
"""What befalls the next dispatch: sent twice with one `s`; preceded by unused numbers; broken on the wire."""

Refusal = int | Literal["op9", "silent", "abort"]
"""How the next IDENTIFY or RESUME is turned down: a close code, op 9 false, no answer at all, a TCP reset."""


@dataclass(frozen=True, slots=True)
class RestFault:
    """An answer that REST gives instead of its own. `status` 0 cuts the connection."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    path: str | None = None
    """Only for paths that end so; None: any."""


@dataclass(slots=True)
class Faults:
    """What goes wrong next."""

    without_acks: set[int] = field(default_factory=set)
    """Shards whose heartbeats stay unanswered."""
    greetings: deque[Greeting] = field(default_factory=deque)
    """One for each of the next connections."""
    dispatches: dict[int, deque[Mangle]] = field(default_factory=dict)
    """Per shard, one for each of its next dispatches."""
    identifies: deque[Refusal] = field(default_factory=deque)
    """One for each of the next IDENTIFYs that would have been accepted."""
    resumes: deque[Refusal] = field(default_factory=deque)
    """The same for RESUMEs."""
    rest: deque[RestFault] = field(default_factory=deque)

    def next_mangle(self, shard: int) -> Mangle | None:
        """Take what befalls this shard's next dispatch."""
        waiting = self.dispatches.get(shard)
        return waiting.popleft() if waiting else None

    def next_rest(self, path: str) -> RestFault | None:
        """Take what befalls this REST call."""
        for fault in self.rest:
            if fault.path is None or path.endswith(fault.path):
                self.rest.remove(fault)
                return fault
        return None
