"""One connection to the gateway (does): reads what the client says, sends what it is owed, never waits."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from bench import encoding, traffic
from bench.sequence import Sequence
from bench.session import Session

HEARTBEAT_MS: Final = 41_250
HELLO: Final = b'{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":%d}}' % HEARTBEAT_MS
_ACK: Final = b'{"t":null,"s":null,"op":11,"d":null}'
_INVALID: Final = b'{"t":null,"s":null,"op":9,"d":false}'


class ClosedError(Exception):
    """The client is gone."""


class Link:
    """A websocket after its HELLO.

    Attributes:
        session: what it carries; None before IDENTIFY and RESUME.
        is_blocked: the client doesn't take more just now.
        is_closed: it is gone; what it is owed waits for a RESUME.
    """

    def __init__(
        self, sock: socket.socket, request: bytes, sequence: Callable[[str], Sequence], bodies: Bodies
    ) -> None:
        self._sock = sock
        self._core = ServerProtocol()
        self._core.receive_data(request)
        (opening,) = self._core.events_received()
        self._core.send_response(self._core.accept(opening))  # type: ignore[arg-type]
        query = parse_qs(urlsplit(request.split(b" ", 2)[1].decode()).query)
        self._transport = query.get("compress", ["none"])[0]
        self._sequence = sequence(self._transport)
        self._bodies = bodies
        self._out = memoryview(b"".join(self._core.data_to_send()))
        self._live: encoding.Chapter | None = None
        self._greeted = False
        self._acks = 0
        self._owed = 0
        self.session: Session | None = None
        self.is_blocked = False
        self.is_closed = False
        self.pump()

    def greet(self) -> None:
        """Say HELLO, once. Not together with the handshake's answer: cloudstorm would miss it."""
        if self._greeted:
            return
        self._greeted = True
        self._say(encoding.Chapter(self._transport, first=True).frame(HELLO))

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        """End it without a word."""
        self._gone()
        self._sock.close()

    def said(self) -> list[dict[str, Any]]:
        """Read what has come; return what isn't a heartbeat, those are answered.

        Raises:
            ClosedError: the client is gone.
        """
        try:
            data = self._sock.recv(65_536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            raise ClosedError
        self._core.receive_data(data)
        found = []
        for frame in self._core.events_received():
            assert isinstance(frame, Frame)
            if frame.opcode is Opcode.CLOSE:
                raise ClosedError
            if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
                message = json.loads(bytes(frame.data))
                if message["op"] == 1:
                    self._acks += 1
                else:
                    found.append(message)
        self.pump()
        return found

    def close_session(self) -> None:
        """Leave the session to another connection."""
        self._gone()
        self.session = None

    def refuse(self) -> None:
        """Say that the session is invalid."""
        self._say(self._chapter([_INVALID]))

    def begin(self, session: Session, ready: bytes) -> None:
        """Carry a new session."""
        self.greet()  # discordeno doesn't wait for HELLO
        self.session = session
        self._say(self._chapter([ready]))

    def resume(self, session: Session, after: int) -> None:
        """Carry a session on: send what came after that number, and RESUMED. It encodes by itself now."""
        self.session = session
        self._live = encoding.Chapter(self._transport)
        missed = [self._bodies.dispatch(index, seq) for index, seq in session.missed(after)]
        resumed = b'{"t":"RESUMED","s":%d,"op":0,"d":{}}' % session.resumed()
        self._say(self._chapter([*missed, resumed]))

    def send(self, events: int) -> None:
        """Owe the client so many events more."""
        self._owed += events
        if self.is_closed:
            self._gone()
        elif not self.is_blocked:
            self.pump()

    @property
    def next_seq(self) -> int:
        """The number of the next event that it will owe."""
        assert self.session is not None
        return self.session.last_seq + 1 + self._owed

    @property
    def is_done(self) -> bool:
        """Whether it was sent all that it is owed."""
        return not self._owed and not self._out

    def pump(self) -> None:
        """Send until nothing is owed, or the client takes no more."""
        try:
            while self._out or self._refill():
                self._out = self._out[self._sock.send(self._out) :]
        except BlockingIOError:
            self.is_blocked = True
            return
        except OSError:
            self._gone()  # the next read says so, too
        self.is_blocked = False

    def _gone(self) -> None:
        """Leave what is owed to the session, that the next connection begins with it."""
        if self.session is not None:
            self.session.sent += self._owed
        self._out, self._owed = memoryview(b""), 0
        self.is_closed, self.is_blocked = True, False

    def _say(self, frames: bytes) -> None:
        self._out = memoryview(bytes(self._out) + frames)
        self.pump()

    def _chapter(self, payloads: list[bytes]) -> bytes:
        """Return frames that may come between chapters, and in a stream that was resumed."""
        live = self._live
        return b"".join(map(live.frame, payloads) if live else encoding.chapter(self._transport, payloads))

    def _refill(self) -> bool:
        """Take the next frames that may be sent; acknowledgements go where a chapter ends."""
        session = self.session
        start = session.sent if session else 0
        chapter = self._sequence.chapter
        if self._acks and (self._live or start % chapter == 0):
            acks, self._acks = [_ACK] * self._acks, 0
            self._out = memoryview(self._chapter(acks))
        elif not self._owed or session is None:
            return False
        elif self._live:
            seqs = range(session.last_seq + 1, session.last_seq + 1 + self._owed)
            events = [self._bodies.dispatch(start + index, seq) for index, seq in enumerate(seqs)]
            self._out = memoryview(self._chapter(events))
            session.sent, self._owed = start + self._owed, 0
        else:
            end = min(
                start + self._owed, (start // chapter + 1) * chapter if self._acks else len(self._sequence)
            )
            assert end > start, "the sequence is too short for what is to be sent"
            self._out = self._sequence.slice(start, end)
            session.sent, self._owed = end, self._owed - (end - start)
        return True


class Bodies:
    """The events of a mix, to be encoded where they can't be beforehand."""

    def __init__(self, mix: str) -> None:
        self._distinct: list[tuple[bytes, bytes]] = []
        self._mix = mix

    def dispatch(self, index: int, seq: int) -> bytes:
        """Return an event under a number that it hasn't always."""
        self._distinct = self._distinct or traffic.bodies(self._mix)
        return traffic.dispatch(self._distinct[index % len(self._distinct)], seq)
