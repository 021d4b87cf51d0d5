"""What to publish next, and what counts (pure): the pipeline between a shard's writer and its stream.

Items are published in order, many at a time, each with the sequence of the message that has to stand before
it. So the server takes none after one that it did not take, as long as nobody else writes. Whatever leaves
doubt about what was taken (an error, a silence, a lost connection) is settled by comparing: what stands in
the stream after the last item that counts is either what was published, in that order, or somebody else
writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gwcluster.log.interface import Received
from gwcluster.log.jetstream.message import Key

WINDOW: Final = 256
"""Items that may be on their way. A successor writes as many messages before it goes on, so that whatever of
them comes late has the wrong place: see `opening`. It must never be more than another version reckons
with."""

WINDOW_BYTES: Final = 8 << 20
SILENCE_S: Final = 5.0
"""Without an answer for so long, what is on its way is in doubt."""

_RETRY_S: Final = 0.05
_RETRY_MOST_S: Final = 2.0

Then = Callable[[], None]


@dataclass(slots=True, eq=False)
class Item:
    """A message to be, or, without a key, something that must be done between the ones before and after it.

    Attributes:
        size: bytes that it counts for.
        received: what it lets count as received.
        sequence: where it stands in the stream, once it counts.
        thens: called once it counts.
    """

    key: Key | None
    subject: str
    headers: dict[str, str]
    data: bytes
    size: int
    received: Received | None = None
    sequence: int = 0
    thens: list[Then] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish the item behind the message `after`; its answer is told with attempt and number."""

    item: Item
    after: int
    attempt: int
    number: int


@dataclass(frozen=True, slots=True)
class Perform:
    """Do what the item is for, then say `performed` or `failed`."""

    item: Item


@dataclass(frozen=True, slots=True)
class Compare:
    """Ask the leader for the stream's last sequence and for what stands after `after`, up to `most` messages.

    Then say `compared` or `failed`.
    """

    after: int
    most: int


Effect = Publish | Perform | Compare


class Flight:
    """What was staged and doesn't count yet.

    Args:
        last: sequence of the stream's last message.
        now: monotonic seconds.
        window, window_bytes: what may be on its way.

    Attributes:
        last: sequence of the last message that counts.
        received: see `LogWriter.last_received`.
        waiting: bytes of the items that don't count yet.
        fenced: why nothing will ever count any more, None while it may.
        trouble: why something is in doubt, None while nothing is.
    """

    def __init__(
        self,
        last: int,
        received: Received,
        now: float,
        *,
        window: int = WINDOW,
        window_bytes: int = WINDOW_BYTES,
    ) -> None:
        self.last = last
        self.received = received
        self.waiting = 0
        self.fenced: str | None = None
        self.trouble: str | None = None
        self._window = window
        self._window_bytes = window_bytes
        self._items: deque[Item] = deque()
        self._first = 0  # number of the first item
        self._sent = 0  # items that were published in this attempt
        self._sent_bytes = 0
        self._ever = 0  # items that were published in any attempt
        self._answered: set[int] = set()
        self._attempt = 0
        self._busy = False
        self._connected = True
        self._retry_at = now
        self._retry_s = _RETRY_S
        self._moved_at = now  # something counted, or was tried again
        self._counted_at = now  # something counted, or there was nothing to count

    # What comes in

    def stage(self, item: Item, now: float) -> None:
        """Add an item behind all others; after `fenced` it is forgotten."""
        if self.fenced is not None:
            return
        if not self._items:
            self._moved_at = self._counted_at = now
        self._items.append(item)
        self.waiting += item.size

    def after(self, then: Then) -> bool:
        """Have `then` called once all that is staged counts; False: it does already, so call it yourself."""
        if not self._items:
            return self.fenced is not None
        self._items[-1].thens.append(then)
        return True

    def acked(self, attempt: int, number: int, sequence: int, now: float) -> list[Then]:
        """The server has taken an item, at a place of the stream; return what is to be called."""
        at = number - self._first
        if attempt != self._attempt or self.trouble is not None or not 0 <= at < self._sent:
            return []
        if sequence != self.last + at + 1:
            self._doubt(f"a message was put at {sequence} instead of {self.last + at + 1}", now)
            return []
        self._answered.add(number)
        thens: list[Then] = []
        while self._first in self._answered:
            self._answered.remove(self._first)
            self.last += 1
            self._pop(thens, now)
        return thens

    def refused(self, attempt: int, number: int, why: str, now: float) -> None:
        """The server hasn't taken an item."""
        if attempt == self._attempt and self.trouble is None and 0 <= number - self._first < self._sent:
            self._doubt(why, now)

    def performed(self, now: float) -> list[Then]:
        """What the first item is for is done; return what is to be called."""
        self._busy = False
        thens: list[Then] = []
        if self._items and self.fenced is None:
            self._pop(thens, now)
        return thens

    def compared(self, last: int, found: Sequence[Key | None], now: float) -> list[Then]:
        """Return what is to be called after a comparison.

        Args:
            last: sequence of the stream's last message, as its leader says.
            found: keys of what stands after our last item that counts, without a gap; None: not ours.
        """
        self._busy = False
        thens: list[Then] = []
        if self.fenced is not None:
            return thens
        behind = last - self.last
        if behind < 0:
            self._fence(f"the stream ends at {last}, though it had {self.last} messages")
            return thens
        for key in found[:behind]:
            if self._ever == 0 or key is None or key != self._items[0].key:
                self._fence(f"somebody else wrote message {self.last + 1} of its stream")
                return thens
            self.last += 1
            behind -= 1
            self._pop(thens, now)
        if behind > 0:
            self._fence(f"message {self.last + 1} of its stream is gone or not ours")
            return thens
        self._attempt += 1
        self._answered.clear()
        self._sent = self._sent_bytes = 0
        self.trouble = None
        return thens

    def failed(self, why: str, now: float) -> None:
        """What `next` asked for couldn't be done; it will ask again."""
        self._busy = False
        self._doubt(why, now)

    def overtaken(self, why: str) -> None:
        """What the first item is for can't be done any more: somebody else did it."""
        self._busy = False
        self._fence(why)

    def connected(self, is_connected: bool, now: float) -> None:
        """The connection to the server was lost, or there is one again."""
        self._connected = is_connected
        if self._sent > 0:
            self._doubt("the connection was lost", now)
        self._retry_at = now

    # What goes out

    def next(self, now: float) -> Effect | None:
        """Return what is to be done now; None: nothing before `due` or the next event."""
        if self.fenced is not None or self._busy or not self._connected:
            return None
        if self.trouble is None and self._sent > 0 and now >= self._moved_at + SILENCE_S:
            self._doubt(f"JetStream hasn't answered for {SILENCE_S:.0f} s", now)
            self._retry_at = now
        if self.trouble is not None:
            if now < self._retry_at:
                return None
            self._busy = True
            return Compare(self.last, self._ever + 1)
        if self._sent >= len(self._items) or self._sent >= self._window:
            return None
        item = self._items[self._sent]
        if item.key is None:
            if self._sent > 0:
                return None
            self._busy = True
            return Perform(item)
        if self._sent > 0 and self._sent_bytes + item.size > self._window_bytes:
            return None
        if self._sent == 0:
            self._moved_at = now
        effect = Publish(item, self.last + self._sent, self._attempt, self._first + self._sent)
        self._sent += 1
        self._sent_bytes += item.size
        self._ever = max(self._ever, self._sent)
        return effect

    @property
    def due(self) -> float | None:
        """When to ask `next` again at the latest; None: when something comes in."""
        if self.fenced is not None or self._busy or not self._connected:
            return None
        if self.trouble is not None:
            return self._retry_at
        return self._moved_at + SILENCE_S if self._sent > 0 else None

    def stalled_s(self, now: float) -> float:
        """Return for how long something has waited without anything having come to count."""
        return now - self._counted_at if self._items else 0.0

    # Within

    def _pop(self, thens: list[Then], now: float) -> None:
        item = self._items.popleft()
        self._first += 1
        self.waiting -= item.size
        if item.key is not None:
            item.sequence = self.last
            self._ever = max(0, self._ever - 1)
            if self._sent > 0:
                self._sent -= 1
                self._sent_bytes -= item.size
        if item.received is not None:
            self.received = item.received
        thens += item.thens
        self._moved_at = self._counted_at = now
        self._retry_s = _RETRY_S

    def _doubt(self, why: str, now: float) -> None:
        self.trouble = why
        self._retry_at = now + self._retry_s
        self._retry_s = min(2 * self._retry_s, _RETRY_MOST_S)

    def _fence(self, why: str) -> None:
        self.fenced = why
        self._items.clear()
        self._answered.clear()
        self._sent = self._sent_bytes = self._ever = self.waiting = 0
