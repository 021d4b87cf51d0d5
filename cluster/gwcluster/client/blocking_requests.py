"""Asking a cluster, and waiting for it (does)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any, assert_never

import zmq

from gwcluster.client.asking import RETRY_S, Asking
from gwcluster.client.dealers import Answer, Dealers, Lost
from gwcluster.client.keys import Curve, KeyRefused
from gwcluster.client.refused import hung_up, silent
from gwcluster.client.roster import Roster
from gwcluster.client.sockets import Socket
from gwcluster.errors import WireError
from gwcluster.wire.replay import Refused, decode_answer, encode_request


class Watch:
    """Waits for some ZeroMQ sockets."""

    def __init__(self) -> None:
        self._poller = zmq.Poller()

    def add(self, sockets: Iterable[Socket]) -> None:
        """Wait for these, too."""
        for socket in sockets:
            self._poller.register(socket, zmq.POLLIN)

    def drop(self, sockets: Iterable[Socket]) -> None:
        """Wait for these no more; before they are closed."""
        for socket in sockets:
            self._poller.unregister(socket)

    def wait(self, seconds: float) -> None:
        """Wait for news of one, for so long at most."""
        self._poller.poll(int(seconds * 1000) + 1)


class Requests:
    """Asks a cluster. One thread may use it.

    Args:
        seek: looks for hosts if none says a word, for so many seconds at most.
    """

    def __init__(
        self,
        context: zmq.Context[Socket],
        curve: Curve | None,
        roster: Roster,
        seek: Callable[[float | None], None],
    ) -> None:
        self._roster = roster
        self._seek = seek
        self._watch = Watch()
        self._dealers = Dealers(context, curve, roster=roster, watch=self._watch)
        self._refused: KeyRefused | None = None
        self._numbers = itertools.count(1)

    def ask(self, op: str, seconds: float, fields: dict[str, Any]) -> dict[str, Any] | Refused:
        """Return what is answered; see `aio_requests.Requests.ask`."""
        number = next(self._numbers)
        until = time.monotonic() + seconds
        seek_at = time.monotonic() + RETRY_S
        asking, body = Asking(op, fields, self._roster), encode_request(op, number, **fields)
        try:
            while (left_s := until - time.monotonic()) > 0:
                answer = self._look(number, asking)
                if answer is not None:
                    return answer
                if (host := asking.turn(self._dealers.up, time.monotonic())) is not None:
                    self._dealers.send(host, body)
                    if op != "status":
                        self._dealers.refresh(time.monotonic(), self._numbers)
                    continue
                if time.monotonic() >= seek_at:
                    self._seek(left_s)
                self._watch.wait(min(left_s, RETRY_S))
        except zmq.Again:
            seconds = 0
        raise silent(self._dealers.where, seconds, self._dealers.hint)

    def _look(self, number: int, asking: Asking) -> dict[str, Any] | Refused | None:
        """Take what has come; return the answer to this question, if it is among it."""
        found: dict[str, Any] | Refused | None = None
        now, is_lost = time.monotonic(), False
        for news in self._dealers.look(now):
            match news:
                case Answer(host, body):
                    self._roster.answered(host, now)
                    answered, answer = self._read(body)
                    if answered == number:  # else it came too late for an earlier question
                        found = answer
                case Lost(host):
                    self._roster.lost(host, now)
                    is_lost = asking.lost(host) or is_lost
                case KeyRefused():
                    self._refused = news
                case _:
                    assert_never(news)
        if self._refused is not None and found is None:
            raise self._refused
        if is_lost and found is None:
            raise hung_up(asking.op)
        return found

    def _read(self, body: bytes) -> tuple[Any, dict[str, Any] | Refused | None]:
        try:
            number, answer = decode_answer(body)
        except WireError:
            return None, None
        if isinstance(answer, dict) and isinstance(status := answer.get("status"), dict):
            self._roster.status(status, time.monotonic())
        return number, answer

    def close(self) -> None:
        """Close the sockets."""
        self._dealers.close()
