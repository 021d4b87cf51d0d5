"""A stream, its network and its writers, as a model: what arrives late, twice or never is drawn by a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gwcluster.log.jetstream.flight import Compare, Flight, Item, Perform, Publish
from gwcluster.log.jetstream.message import Key

WINDOW = 4


@dataclass
class Sent:
    """A message on its way to the server; `reply` is called with its place, or None if it was refused."""

    key: Key
    after: int
    reply: Callable[[int | None], None]


class Server:
    """Keeps a stream: takes a message if it follows the one that it names.

    Attributes:
        stream: keys by sequence - 1; None: removed.
        sessions: value and revision of the saved session.
    """

    def __init__(self) -> None:
        self.stream: list[Key | None] = []
        self.session: tuple[str, int] = ("", 0)

    def take(self, sent: Sent) -> None:
        if sent.after == len(self.stream):
            self.stream.append(sent.key)
            sent.reply(len(self.stream))
        else:
            sent.reply(None)

    def put(self, value: str, revision: int) -> bool:
        if self.session[1] != revision:
            return False
        self.session = (value, revision + 1)
        return True


@dataclass
class Owner:
    """A writer: its flight, what it sends, and what it believes.

    Attributes:
        lines: queues to the server, one for each connection it had; each keeps its order.
        answers: what the server said and hasn't arrived.
        counted: what was called, in order.
        staged: offsets of records in the order in which they were staged.
    """

    name: str
    server: Server
    flight: Flight
    revision: int
    next_offset: int
    now: float = 10_000.0
    lines: list[list[Sent]] = field(default_factory=lambda: [[]])
    answers: list[Callable[[], None]] = field(default_factory=list)
    counted: list[int | str] = field(default_factory=list)
    staged: list[int | str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def append(self) -> None:
        """Stage a record, and note when it counts."""
        offset = self.next_offset
        self.next_offset += 1
        key = ("A", self.name, "e", offset, offset)
        item = Item(key, "", {}, b"", 10, received=(1, offset))
        self._stage(item, offset)

    def save(self) -> None:
        """Stage a session."""
        self._stage(
            Item(None, "", {}, f"{self.name} {self.next_offset}".encode(), 10), f"s{self.next_offset}"
        )

    def _stage(self, item: Item, what: int | str) -> None:
        self.flight.stage(item, self.now)
        self.staged.append(what)
        if self.flight.after(lambda: self.heard(what)):
            return
        self.heard(what)

    def heard(self, what: int | str) -> None:
        """Something counts, they say: it must be so."""
        self.counted.append(what)
        if isinstance(what, int):
            assert ("A", self.name, "e", what, what) in self.server.stream, f"{what} doesn't count"
            assert (self.flight.received[1] or 0) >= what
        else:
            assert self.server.session[0] == f"{self.name} {what[1:]}", "the session isn't kept"

    def pump(self, answered: Callable[[], bool]) -> None:
        """Do all that is to be done now; `answered` draws whether a request gets an answer."""
        for _ in range(100):
            match self.flight.next(self.now):
                case Publish() as effect:
                    self.lines[-1].append(self._sent(effect))
                case Perform(item):
                    self._perform(item, answered)
                case Compare() as ask:
                    if not answered():
                        self.flight.failed("no answer", self.now)
                        continue
                    stream = self.server.stream
                    found = stream[ask.after : ask.after + ask.most]
                    self._call(self.flight.compared(len(stream), found, self.now))
                case None:
                    return
        raise AssertionError("it never comes to rest")

    def _sent(self, effect: Publish) -> Sent:
        assert effect.item.key is not None
        before = self.staged[: self.staged.index(effect.item.key[3])]
        saves = [what for what in before if isinstance(what, str)]
        assert all(what in self.counted for what in saves), "a record overtook a session"

        def reply(sequence: int | None) -> None:
            def arrives() -> None:
                if sequence is None:
                    self.flight.refused(effect.attempt, effect.number, "wrong last sequence", self.now)
                else:
                    self._call(self.flight.acked(effect.attempt, effect.number, sequence, self.now))

            self.answers.append(arrives)

        return Sent(effect.item.key, effect.after, reply)

    def _perform(self, item: Item, answered: Callable[[], bool]) -> None:
        value = item.data.decode()
        done = answered() and self.server.put(value, self.revision)
        if not answered():
            self.flight.failed("no answer", self.now)
        elif done or self.server.session[0] == value:
            self.revision = self.server.session[1]
            self._call(self.flight.performed(self.now))
        elif self.server.session[1] != self.revision:
            self.flight.overtaken("somebody else's session")
        else:
            self.flight.failed("refused", self.now)

    def _call(self, thens: list[Callable[[], None]]) -> None:
        for each in thens:
            each()
