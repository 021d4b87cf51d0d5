"""Decides nothing: what the rules want done, and the timers they set."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from gwsimulator.rules import Gateway

    Order: TypeAlias = "Callable[[Gateway, float], list[Effect]]"
    """Decides at a moment; what it returns is performed."""


Spoil = Literal["broken", "text", "end_stream", "pieces", "half"]
"""What becomes of a payload on the wire.

A bit is flipped; it goes as text beside the compression; the compression's stream ends with it; its bytes
come one by one; half of its frame comes, and nothing more ever.
"""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a payload."""

    link: int
    payload: bytes
    spoil: Spoil | None = None


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a websocket message beside the compression, as text or binary."""

    link: int
    data: bytes
    text: bool


@dataclass(frozen=True, slots=True)
class SendFrames:
    """Put bytes into the TCP stream as they are: websocket frames, or what looks like them."""

    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Inflate:
    """Send a message of `size` bytes that compress to next to nothing."""

    link: int
    size: int


@dataclass(frozen=True, slots=True)
class Hangup:
    """Send a close frame, after everything before it."""

    link: int
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cut:
    """End the connection without any frame: a TCP reset.

    `in_turn`: after everything before it. `fin`: an end of file instead of a reset.
    """

    link: int
    in_turn: bool = False
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Freeze:
    """Stop reading, or writing, on a connection that stays open, or go on."""

    link: int
    reads: bool
    writes: bool


@dataclass(frozen=True, slots=True)
class Drip:
    """Send no more than so many bytes per second; None: as fast as it goes."""

    link: int
    bytes_per_s: float | None


@dataclass(frozen=True, slots=True)
class Listen:
    """Let a host listen, or refuse every TCP connection."""

    host: str
    up: bool


@dataclass(frozen=True, slots=True)
class SwapResumeHost:
    """Open another resume host, for the next READYs to name; the ones before it go on listening."""


Queued = Send | SendMessage | SendFrames | Inflate | Hangup | Cut
"""What is done to a connection in turn."""

Effect = Queued | Freeze | Drip | Listen | SwapResumeHost


@dataclass(frozen=True, slots=True)
class Later:
    """Do what a script has set for later."""

    order: Order


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
class NextGuild:
    """Let the next of a new session's guilds arrive."""

    session: str


@dataclass(frozen=True, slots=True)
class GuildBack:
    """Let a guild be available again."""

    session: str
    guild_id: int


@dataclass(frozen=True, slots=True)
class SendAway:
    """Ask a session that resumed on the wrong host to reconnect."""

    link: int


Timer = BeatDue | Greet | Refuse | HangupLater | Expire | NextGuild | GuildBack | SendAway | Later


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
