"""Requests as a stranger makes them: a bare DEALER, and no code of ours."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import msgpack
import zmq


class Asking:
    """One client's connection.

    Attributes:
        number: counts the clients that connect together.
        socket: the DEALER itself.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str, number: int = 0) -> None:
        self.number = number
        self.socket = context.socket(zmq.DEALER)
        self.socket.connect(address)
        self._ids = itertools.count(1)

    def post(self, op: str, **fields: Any) -> int:
        """Send a request and return its id."""
        number = next(self._ids)
        self.socket.send(msgpack.packb({"v": 1, "id": number, "op": op, **fields}))
        return number

    def throw(self, op: str, **fields: Any) -> bool:
        """Send a request if there is room for it; say whether there was."""
        try:
            self.socket.send(msgpack.packb({"v": 1, "id": None, "op": op, **fields}), zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def answer(self, seconds: float = 10.0) -> dict[str, Any]:
        """Return the next answer; fail if none comes in time."""
        assert self.socket.poll(int(seconds * 1000)), f"no answer in {seconds} s"
        found: dict[str, Any] = msgpack.unpackb(self.socket.recv())
        return found

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return its answer; nothing else may be under way."""
        number = self.post(op, **fields)
        found = self.answer()
        assert found["id"] == number
        return found


@contextlib.contextmanager
def asking(address: str, clients: int = 1) -> Iterator[list[Asking]]:
    """Connect so many clients."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield [Asking(context, address, number) for number in range(clients)]
    finally:
        context.destroy(linger=0)
