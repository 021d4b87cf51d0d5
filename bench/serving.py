"""A gateway that sends what was encoded beforehand (does): one process, one thread, no work for each event.

It knows HELLO, IDENTIFY with `max_concurrency`, READY, heartbeats, RESUME with replay, and the REST questions
that clients ask first. It notes when each burst was due and its own share of a processor.
"""

from __future__ import annotations

import functools
import random
import select
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from bench import rest, traffic
from bench.accounts import Sent
from bench.figures import percentile
from bench.link import Bodies, ClosedError, Link
from bench.schedule import Pace, Schedule
from bench.sequence import MADE, Sequence, sequence
from bench.session import Session, Windows

_GREETING_S: Final = 0.005
"""From the handshake to HELLO."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is served, and how many events of it there are for each shard."""

    mix: str
    shards: int
    max_concurrency: int
    events: int
    transport: str
    folder: Path = MADE


@dataclass(frozen=True, slots=True)
class Sender:
    """How the sender itself fared.

    Attributes:
        cpu: the share of one processor that it used.
        seconds: from the first burst to the last.
        late_s: what 99 % of the bursts were less late than, of those that the client left room for.
        blocked: the share of bursts that the client left no room for.
    """

    cpu: float
    seconds: float
    late_s: float
    blocked: float

    def problems(self) -> list[str]:
        """Say why what was measured may be the sender's limit and not the program's."""
        found = []
        if self.cpu > 0.8:
            found.append(f"the sender used {self.cpu:.0%} of a processor")
        if self.late_s > 0.05:
            found.append(f"the sender was {self.late_s * 1000:.0f} ms late")
        return found


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: what, to which shard, and when (monotonic ns)."""

    what: str
    shard: int
    at: int


def serve(settings: Settings, pipe: Connection) -> None:
    """Be the gateway process."""
    _Server(settings, pipe).run()


class _Server:
    def __init__(self, settings: Settings, pipe: Connection) -> None:
        self._settings = settings
        self._pipe = pipe
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        self._greeted: dict[int, tuple[socket.socket, bytearray]] = {}
        self._links: dict[int, Link] = {}
        self._waiting: list[tuple[float, Link]] = []
        self._sessions: dict[str, Session] = {}
        self._carriers: dict[int, Link] = {}
        self._windows = Windows(settings.max_concurrency)
        self._marks: list[Mark] = []
        self._bodies = Bodies(settings.mix)
        self._sending: _Sending | None = None

    def run(self) -> None:
        """Serve until the pipe is closed."""
        if self._settings.events:
            self._sequence(self._settings.transport)  # encoded before anybody is measured
        self._pipe.send(("port", self._listener.getsockname()[1]))
        while True:
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                self._waiting.pop(0)[1].greet()
            timeout = max(self._waiting[0][0] - now, 0.0) if self._waiting else 1.0
            if self._sending is not None:
                timeout = min(timeout, self._sending.run(now))
                if self._sending.is_over:
                    self._pipe.send(("sent", self._sending.report()))
                    self._sending = None
            readers: list[Any] = [self._listener, self._pipe, *self._greeted, *self._links.values()]
            blocked = [link for link in self._links.values() if link.is_blocked]
            ready, writable, _ = select.select(readers, blocked, [], timeout)
            for link in writable:
                link.pump()
            for one in ready:
                if isinstance(one, Link):
                    self._listen_to(one)
                elif isinstance(one, int):
                    self._greet(one)
                elif one is self._listener:
                    sock, _ = self._listener.accept()
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._greeted[sock.fileno()] = sock, bytearray()
                else:
                    self._obey(self._pipe.recv())

    def _obey(self, order: object) -> None:
        match order:
            case Pace():
                self._sending = _Sending(self._carriers, order)
            case "enough" if self._sending is not None:
                self._sending = None
                self._pipe.send(("sent", None))
            case "live":
                self._pipe.send(("live", sum(link.session is not None for link in self._links.values())))
            case "marks":
                self._pipe.send(("marks", self._marks))

    @functools.cache  # noqa: B019 - there is one server in its process
    def _sequence(self, transport: str) -> Sequence:
        return sequence(self._settings.mix, transport, max(self._settings.events, 1), self._settings.folder)

    def _greet(self, number: int) -> None:
        """Answer a question over HTTP, or open a websocket."""
        sock, request = self._greeted[number]
        data = sock.recv(65_536)
        request += data
        if data and b"\r\n\r\n" not in request:
            return
        del self._greeted[number]
        if b"upgrade: websocket" in bytes(request).lower():
            self._links[number] = link = Link(sock, bytes(request), self._sequence, self._bodies)
            self._waiting.append((time.monotonic() + _GREETING_S, link))
            return
        with sock:
            if data:
                settings = self._settings
                sock.sendall(
                    rest.answer(bytes(request), self._url, settings.shards, settings.max_concurrency)
                )

    def _listen_to(self, link: Link) -> None:
        number = link.fileno()
        try:
            for message in link.said():
                self._hear(link, message)
        except ClosedError:
            del self._links[number]
            self._mark("closed", link.session.shard[0] if link.session else -1)
            link.close()

    def _hear(self, link: Link, message: dict[str, Any]) -> None:
        match message["op"]:
            case 2:
                shard, shards = message["d"].get("shard", (0, 1))
                self._mark("identify", shard)
                if not self._windows.allow(shard, time.monotonic()):
                    self._mark("refused", shard)
                    link.refuse()
                    return
                session = Session(f"{len(self._sessions):032x}", (shard, shards))
                self._sessions[session.id] = session
                self._carriers[shard] = link
                self._mark("ready", shard)
                link.begin(session, traffic.ready(self._settings.mix, session.id, self._url, session.shard))
            case 6:
                found = self._sessions.get(message["d"]["session_id"])
                if found is None:
                    link.refuse()
                    return
                shard = found.shard[0]
                self._carriers[shard].close_session()
                self._carriers[shard] = link
                self._mark("resumed", shard)
                link.resume(found, message["d"]["seq"])

    def _mark(self, what: str, shard: int) -> None:
        self._marks.append(Mark(what, shard, time.monotonic_ns()))


class _Sending:
    """One pace, from its first burst until the clients have taken all of it."""

    def __init__(self, links: dict[int, Link], pace: Pace) -> None:
        self._links = links
        self._began = time.monotonic()
        self._cpu = time.process_time()
        self._schedule = Schedule(sorted(links), pace, self._began, random.Random(3))
        self._sent = Sent()
        self._late: list[float] = []
        self._blocked = 0
        self._last = self._began

    def run(self, now: float) -> float:
        """Send what is due; return the seconds until there is more to do."""
        for due, shard, events in self._schedule.take(now):
            link = self._links[shard]
            at = time.monotonic_ns()
            self._sent.bursts.append((shard, link.next_seq, events, at))
            if link.is_blocked:
                self._blocked += 1
            else:
                self._late.append(at / 1e9 - due)
            link.send(events)
            self._last = at / 1e9
        if self._schedule.due is None:
            return 0.001 if not self._all_done() else 0.0
        return max(self._schedule.due - time.monotonic(), 0.0)

    @property
    def is_over(self) -> bool:
        return self._schedule.due is None and self._all_done()

    def report(self) -> tuple[Sent, Sender]:
        seconds = max(self._last - self._began, 1e-9)
        took = max(time.monotonic() - self._began, 1e-9)
        late = percentile(self._late, 0.99) if self._late else 0.0
        bursts = len(self._sent.bursts)
        return self._sent, Sender(
            (time.process_time() - self._cpu) / took, seconds, late, self._blocked / max(bursts, 1)
        )

    def _all_done(self) -> bool:
        return all(link.is_done for link in self._links.values())
