"""Asking a cluster on an event loop (does)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any, assert_never

import zmq

from gwcluster.client.asking import RETRY_S, Asking
from gwcluster.client.dealers import Answer, Dealers, Lost
from gwcluster.client.host import Host
from gwcluster.client.keys import Curve, KeyRefused
from gwcluster.client.refused import hung_up, silent
from gwcluster.client.roster import Roster
from gwcluster.client.sockets import Socket
from gwcluster.errors import WireError
from gwcluster.wire.replay import Refused, decode_answer, encode_request


class Watch:
    """Calls a function when one of some ZeroMQ sockets may have news; their descriptors tell only changes."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._look = look

    def add(self, sockets: Iterable[Socket]) -> None:
        """Watch these, too."""
        for socket in sockets:
            self._loop.add_reader(int(socket.getsockopt(zmq.FD)), self._look)

    def drop(self, sockets: Iterable[Socket]) -> None:
        """Watch these no more; before they are closed."""
        for socket in sockets:
            self._loop.remove_reader(int(socket.getsockopt(zmq.FD)))


class Requests:
    """Asks a cluster, and waits for its answers."""

    def __init__(
        self, context: zmq.Context[Socket], curve: Curve | None, roster: Roster, seek: Callable[[], None]
    ) -> None:
        self._roster = roster
        self._seek = seek
        self._refused: KeyRefused | None = None
        self._dealers = Dealers(context, curve, roster=roster, watch=Watch(self.look))
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}

    async def ask(self, op: str, seconds: float, fields: dict[str, Any]) -> dict[str, Any] | Refused:
        """Return what is answered.

        Raises:
            NoAnswer: nothing was, for so many seconds.
            SendRefused: the connection was lost meanwhile.
            KeyRefused: the cluster doesn't let this program in.
        """
        self.look()
        if self._refused is not None:
            raise self._refused
        number = next(self._numbers)
        waiting = _Waiting(Asking(op, fields, self._roster), encode_request(op, number, **fields))
        self._waiting[number] = waiting
        try:
            async with asyncio.timeout(seconds):
                self._turn(waiting)
                if op != "status":
                    self._dealers.refresh(time.monotonic(), self._numbers)
                while True:
                    self.look()
                    await asyncio.wait((waiting.answer,), timeout=RETRY_S)
                    if waiting.answer.done():
                        return waiting.answer.result()
                    self._seek()
        except (TimeoutError, zmq.Again):
            raise silent(self._dealers.where, seconds, self._dealers.hint) from None
        finally:
            del self._waiting[number]

    def close(self) -> None:
        """Close the sockets."""
        self._dealers.close()

    def look(self) -> None:
        """Take what has come, connect with hosts that are new, and send what is due."""
        now = time.monotonic()
        for news in self._dealers.look(now):
            match news:
                case Answer(host, body):
                    self._roster.answered(host, now)
                    self._answered(body)
                case Lost(host):
                    self._hung_up(host, now)
                case KeyRefused():
                    self._shut_out(news)
                case _:
                    assert_never(news)
        for waiting in list(self._waiting.values()):
            with contextlib.suppress(zmq.Again):  # for long nobody has read: then nobody answers, either
                self._turn(waiting)

    def _turn(self, waiting: _Waiting) -> None:
        """Send it, if it is somebody's turn to be asked."""
        if not waiting.answer.done():
            host = waiting.asking.turn(self._dealers.up, time.monotonic())
            if host is not None:
                self._dealers.send(host, waiting.body)

    def _shut_out(self, refused: KeyRefused) -> None:
        self._refused = refused
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(refused)

    def _hung_up(self, host: Host, now: float) -> None:
        """Have asked again what may be asked twice."""
        self._roster.lost(host, now)
        for waiting in self._waiting.values():
            if waiting.asking.lost(host) and not waiting.answer.done():
                waiting.answer.set_exception(hung_up(waiting.asking.op))

    def _answered(self, body: bytes) -> None:
        try:
            number, answer = decode_answer(body)
        except WireError:
            return  # whose it is can't be known: who asked hears that there is no answer
        if isinstance(answer, dict) and isinstance(status := answer.get("status"), dict):
            self._roster.status(status, time.monotonic())
        waiting = self._waiting.get(number) if isinstance(number, int) else None
        if waiting is not None and not waiting.answer.done():
            waiting.answer.set_result(answer)


class _Waiting:
    """A request that waits for its answer."""

    __slots__ = ("answer", "asking", "body")

    def __init__(self, asking: Asking, body: bytes) -> None:
        self.asking = asking
        self.body = body
        self.answer: asyncio.Future[dict[str, Any] | Refused] = asyncio.get_running_loop().create_future()
