"""Decides nothing: what the rules want done, and the timers they set."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Send:
    """Send a payload. `broken`: with a bit flipped on the wire."""

    link: int
    payload: bytes
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Hangup:
    """Send a close frame, after everything before it."""

    link: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cut:
    """End the connection without any frame: a TCP reset."""

    link: int


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop reading and writing on a connection that stays open, or go on."""

    link: int
    frozen: bool


Effect = Send | Hangup | Cut | Freeze


@dataclass(frozen=True, slots=True)
class BeatDue:
    """Look whether the heartbeat came."""

    link: int


@dataclass(frozen=True, slots=True)
class Greet:
    """Let READY follow on an accepted IDENTIFY."""

    link: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send op 9 false."""

    link: int


@dataclass(frozen=True, slots=True)
class HangupLater:
    """Close with a code."""

    link: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Expire:
    """Forget a session if nobody came back for it."""

    session: str


@dataclass(frozen=True, slots=True)
class SendAway:
    """Ask a session that resumed on the wrong host to reconnect."""

    link: int


Timer = BeatDue | Greet | Refuse | HangupLater | Expire | SendAway


@dataclass(slots=True)
class Timers:
    """Timers by when they are due."""

    _heap: list[tuple[float, int, Timer]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def set(self, at: float, timer: Timer) -> None:
        """Have `timer` fall due at `at`."""
        heapq.heappush(self._heap, (at, next(self._order), timer))

    def next_at(self) -> float | None:
        """Return when the next one is due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Timer]:
        """Take those that are due, in order."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]
