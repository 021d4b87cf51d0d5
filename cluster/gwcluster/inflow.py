"""Watches what comes in over TCP (does), and ends connections that send more than is bounded elsewhere.

ZeroMQ bounds the size of a frame. It bounds neither how many subscriptions a SUB makes, each of which costs
memory at the PUB, nor of how many frames a message is, which a ROUTER hands out only when the last one is
there. The kernel knows how much each connection has sent; a thread asks it some times a second.

Sockets with a path are not watched: who may connect to those is the user that we run as.

Sources:
    https://man7.org/linux/man-pages/man7/tcp.7.html for TCP_INFO, linux/tcp.h for its layout
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from gwcluster.allowance import Allowance

LOOK_S: Final = 0.1
LOOK_S_PER_CONNECTION: Final = 0.0005
"""Time between two looks, at least, and for each connection: they shall cost a hundredth of a core."""

SAY_S: Final = 10.0
"""Between two log lines about connections that were ended."""

_TCP_INFO_BYTES_RECEIVED: Final = slice(128, 136)

Socket = zmq.Socket[bytes]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Connection:
    """From when on, and from which byte of what it sends, counts what it holds."""

    since: float
    from_byte: int = 0
    was_read: bool = False


class Inflow:
    """The TCP connections of one socket that is to be bound. Comes to an end with the socket's context.

    Args:
        watched: the socket, before it is bound.
        addresses: those that it is bound to.
        allowance: what its connections may send.
        clock: monotonic seconds.
    """

    def __init__(
        self, watched: Socket, addresses: Iterable[str], allowance: Allowance, *, clock: Callable[[], float]
    ) -> None:
        self._ports = {int(each.rpartition(":")[2]) for each in addresses if each.startswith("tcp://")}
        self._allowance = allowance
        self._clock = clock
        self._connections: dict[int, _Connection] = {}
        self._ended = 0
        self._say_at = float("-inf")
        if not self._ports:
            return
        name = f"inproc://inflow-{watched.underlying:x}"
        watched.monitor(name, zmq.EVENT_ACCEPTED)
        self._news = watched.context.socket(zmq.PAIR)
        self._news.rcvhwm = 0  # or a thread of ZeroMQ's would wait for us
        self._news.linger = 0
        self._news.connect(name)

    def start(self) -> None:
        """Begin, once all addresses are bound: what happened since the beginning is told then, too."""
        if self._ports:
            threading.Thread(target=self._run, name="inflow", daemon=True).start()

    def was_read(self, frame: zmq.Frame) -> None:
        """A whole message of a connection was read, of which this is a frame: it holds nothing more."""
        if (connection := self._connections.get(_descriptor(frame))) is not None:
            connection.was_read = True

    # In a thread of its own

    def _run(self) -> None:
        look_at = self._clock()
        with contextlib.suppress(zmq.ContextTerminated):
            while True:
                wait_s = max(0.0, look_at - self._clock()) if self._connections else None
                if self._news.poll(None if wait_s is None else int(1000 * wait_s) + 1):
                    event = parse_monitor_message(self._news.recv_multipart())
                    if event["event"] == zmq.EVENT_ACCEPTED:
                        self._connections[int(event["value"])] = _Connection(self._clock())
                if self._clock() >= look_at:
                    self._look()
                    look_at = self._clock() + max(LOOK_S, LOOK_S_PER_CONNECTION * len(self._connections))
        self._news.close()

    def _look(self) -> None:
        now = self._clock()
        sent: dict[int, tuple[int, float]] = {}
        for descriptor, connection in list(self._connections.items()):
            received = self._received(descriptor)
            if received is None:
                del self._connections[descriptor]
                continue
            if connection.was_read:
                connection.since, connection.from_byte, connection.was_read = now, received, False
            sent[descriptor] = received - connection.from_byte, now - connection.since
        for descriptor in self._allowance.beyond(sent):
            self._end(descriptor, sent[descriptor][0])

    def _received(self, descriptor: int) -> int | None:
        with contextlib.suppress(OSError), self._borrowed(descriptor) as connection:
            if connection.family in {socket.AF_INET, socket.AF_INET6} and self._is_ours(connection):
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                return int.from_bytes(info[_TCP_INFO_BYTES_RECEIVED], "little")
        return None

    def _end(self, descriptor: int, sent: int) -> None:
        with contextlib.suppress(OSError), self._borrowed(descriptor) as connection:
            if not self._is_ours(connection):
                return
            host, port, *_ = connection.getpeername()
            connection.shutdown(socket.SHUT_RDWR)  # ZeroMQ takes it for the peer's doing, and forgets it
            self._ended += 1
            if self._clock() >= self._say_at:
                self._say_at = self._clock() + SAY_S
                said = "%s was disconnected: it has sent %d bytes, more than any client needs to; %d by now"
                log.warning(said, f"{host}:{port}", sent, self._ended)
        self._connections.pop(descriptor, None)

    def _is_ours(self, connection: socket.socket) -> bool:
        """ZeroMQ may have closed it meanwhile, and the number be another's."""
        return connection.getsockname()[1] in self._ports

    @staticmethod
    def _borrowed(descriptor: int) -> socket.socket:
        return socket.socket(fileno=os.dup(descriptor))


def _descriptor(frame: zmq.Frame) -> int:
    with contextlib.suppress(zmq.ZMQError):
        return int(frame.get(zmq.SRCFD))
    return -1
