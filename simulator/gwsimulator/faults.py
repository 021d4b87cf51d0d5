"""Decides nothing: the faults that are waiting to happen, for rules, REST and sockets to run into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

T = TypeVar("T")

Host = str
"""`gateway`, which REST shares, or `resume`; after a swap also `resume-2`, `resume-3`, ..."""

Greeting = (
    int
    | Literal[
        "silent",
        "op7",
        "op9",
        "bad_interval",
        "negative_interval",
        "text_interval",
        "no_interval",
        "without_keys",
        "second_hello",
        "pieces",
        "half",
    ]
)
"""What a new connection meets instead of a plain HELLO.

A close code; nothing; op 7; op 9 and then HELLO; an interval of 0, -1, a text or none at all; a HELLO
without `t` and `s`; two of them; one that comes byte by byte; half a frame and then nothing more.
"""

Mangle = Literal["duplicate", "gap", "corrupt", "truncate", "invalid_utf8", "text", "end_stream"]
"""What befalls the next dispatch.

Sent twice with one `s`; preceded by unused numbers; broken on the wire; cut in half; not UTF-8; sent as
text beside the compression; the end of the compression's stream.
"""

Ending = int | Literal["abort", "eof"]
"""How a connection ends: a close code, a TCP reset, or an end of file without a close frame."""

Interruption = Ending | Literal["op7", "op9"]
"""What happens in the middle of a replay."""

Refusal = int | Literal["op9", "silent", "abort"]
"""How the next IDENTIFY or RESUME is turned down: a close code, op 9 false, no answer at all, a TCP reset."""

ACK: Final = b'{"t":null,"s":null,"op":11,"d":null}'


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What an upgrade is answered with instead."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Dial = Literal["reset", "hang", "garbage"] | HttpAnswer
"""How an upgrade fails: by a TCP reset, for want of any answer, because the answer isn't HTTP, or by it."""


@dataclass(frozen=True, slots=True)
class RestFault:
    """An answer that REST gives instead of its own. `status` 0 cuts the connection."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    path: str | None = None
    """Only for paths that end so; None: any."""


@dataclass(frozen=True, slots=True)
class Acks:
    """How heartbeats are answered. `payload` None: not at all."""

    payload: bytes | None = ACK
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal and how long it takes; None: as the settings say."""

    how: Refusal
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class LateEnd:
    """An ending that comes `after_s`."""

    how: Ending
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Break:
    """An interruption after so many replayed dispatches."""

    after: int
    how: Interruption


@dataclass(slots=True)
class _Entry(Generic[T]):
    what: T
    where: str | int | None
    left: int | None


@dataclass(slots=True)
class Plan(Generic[T]):
    """Faults of one kind in the order in which they happen, each for one host or shard or for any."""

    _entries: list[_Entry[T]] = field(default_factory=list)

    def add(self, *what: T, where: str | int | None = None, times: int | None = 1) -> None:
        """Plan each of `what` for the next `times` occasions, or for all until it is cleared.

        Raises:
            ValueError: `times` is less than 1.
        """
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, or None for ever, not {times}")
        self._entries.extend(_Entry(one, where, times) for one in what)

    def take(self, where: str | int | None) -> T | None:
        """Return what befalls this host or shard now."""
        return self._first(lambda entry: entry.where in (None, where))

    def take_for(self, concerns: Callable[[T], bool]) -> T | None:
        """Return what befalls an occasion that only the fault itself can tell."""
        return self._first(lambda entry: concerns(entry.what))

    def _first(self, concerns: Callable[[_Entry[T]], bool]) -> T | None:
        entry = next(filter(concerns, self._entries), None)
        if entry is None:
            return None
        if entry.left is not None:
            entry.left -= 1
            if entry.left == 0:
                self._entries.remove(entry)
        return entry.what

    def clear(self, where: str | int | None = None) -> None:
        """Forget what is planned for a host or shard, or for all of them."""
        if where is None:
            self._entries.clear()
        else:
            self._entries = [entry for entry in self._entries if entry.where != where]


@dataclass(slots=True)
class Faults:
    """What goes wrong next."""

    dials: Plan[Dial] = field(default_factory=Plan)
    """By host: what becomes of an upgrade."""
    greetings: Plan[Greeting] = field(default_factory=Plan)
    """By host: what comes instead of HELLO."""
    hello_ends: Plan[LateEnd] = field(default_factory=Plan)
    """By host: what ends a connection after HELLO."""
    live_ends: Plan[LateEnd] = field(default_factory=Plan)
    """By shard: what ends a connection after READY or RESUMED."""
    acks: dict[int | None, Acks] = field(default_factory=dict)
    """By shard; None: all others."""
    dispatches: Plan[Mangle] = field(default_factory=Plan)
    """By shard."""
    identifies: Plan[Refused] = field(default_factory=Plan)
    """By shard: for IDENTIFYs that would have been accepted."""
    resumes: Plan[Refused] = field(default_factory=Plan)
    """The same for RESUMEs."""
    replays: Plan[Break] = field(default_factory=Plan)
    """By shard: for replays that have begun."""
    overlaps: Plan[int] = field(default_factory=Plan)
    """By shard: how many dispatches a replay begins too early."""
    rest: Plan[RestFault] = field(default_factory=Plan)
    gateway_bot: dict[str, Any] = field(default_factory=dict)
    """What `/gateway/bot` says instead, by key; `...` leaves the key out."""

    def acks_of(self, shard: int | None) -> Acks:
        """Return how a shard's heartbeats are answered."""
        return self.acks.get(shard) or self.acks.get(None) or Acks()

    def retold(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return what `/gateway/bot` says after all; its limits are changed where they are."""
        limit = told["session_start_limit"]
        within = {key: value for key, value in self.gateway_bot.items() if key in limit}
        beside = {key: value for key, value in self.gateway_bot.items() if key not in within}
        return _without_gaps({**told, "session_start_limit": _without_gaps({**limit, **within}), **beside})

    def next_rest(self, path: str) -> RestFault | None:
        """Take what befalls this REST call."""
        return self.rest.take_for(lambda fault: fault.path is None or path.endswith(fault.path))


def _without_gaps(told: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping without the keys that are to be left out."""
    return {key: value for key, value in told.items() if value is not ...}
