"""What a worker's exit status says, in words (pure)."""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass
from typing import Final

from gwcluster.wire.exits import WorkerExit


class Severity(enum.Enum):
    """How loudly a verdict is to be said."""

    INFO = "lifecycle"
    WARNING = "recovered, and it cost something"
    ERROR = "a person must act"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a death means: a line for the log and how loudly to say it."""

    text: str
    severity: Severity = Severity.INFO

    def __str__(self) -> str:
        return self.text


_WORDS: Final[dict[int, str]] = {
    WorkerExit.DONE: "exited by itself",
    WorkerExit.FAILED: "failed",
    WorkerExit.REFUSED: "was refused by Discord for the whole cluster",
    WorkerExit.SHARD_REFUSED: "was refused by Discord for this shard",
    WorkerExit.BUSY: "found its log held by another process",
    WorkerExit.ORPHANED: "took its coordinator or nursery for gone",
    WorkerExit.UNLEASED: "let go of its connection, as the lease on the shard was not renewed",
    WorkerExit.FENCED: "found that another host writes the shard's log",
}


def how(status: int) -> str:
    """Return words for an exit status, or for the negative number of the signal that ended a worker."""
    if status < 0:
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    return f"{_WORDS.get(status, 'ended')} (status {status})"


def cost(status: int, was_live: bool) -> str:
    """Return words for what the next start costs."""
    if was_live:
        return "after it was live (a RESUME is free)"
    if status in {WorkerExit.BUSY, WorkerExit.FENCED}:
        return "before it was live (no identify was spent)"
    return "before it was live (an identify may have been spent)"
