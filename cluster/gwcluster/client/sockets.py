"""ZeroMQ sockets that connect with a cluster (does)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import zmq

from gwcluster.client.keys import Curve

_RECEIVE_HIGH_WATER_MARK: Final = 1_000
_SEND_HIGH_WATER_MARK: Final = 64
_HEARTBEAT_MS: Final = 5_000
_DEAD_MS: Final = 15_000
_RECONNECT_MS: Final = 100
_MAX_RECONNECT_MS: Final = 2_000

Socket = zmq.Socket[bytes]


class Watching(Protocol):
    """Has whoever waits wake up when some sockets have news."""

    def add(self, sockets: Iterable[Socket]) -> None:
        """Watch these, too."""

    def drop(self, sockets: Iterable[Socket]) -> None:
        """Watch these no more; before they are closed."""


def connected(context: zmq.Context[Socket], kind: int, address: str, curve: Curve | None) -> Socket:
    """Return a socket that connects to `address`, again and again, and waits for nobody when it is closed."""
    socket = _prepared(context, kind, curve)
    socket.connect(address)
    return socket


def monitored(
    context: zmq.Context[Socket], kind: int, address: str, curve: Curve | None, events: int
) -> tuple[Socket, Socket]:
    """Return such a socket, and its monitor, which misses none of these events: it was there first."""
    socket = _prepared(context, kind, curve)
    monitor: Socket = socket.get_monitor_socket(events)
    socket.connect(address)
    return socket, monitor


def _prepared(context: zmq.Context[Socket], kind: int, curve: Curve | None) -> Socket:
    socket = context.socket(kind)
    socket.linger = 0
    socket.rcvhwm = _RECEIVE_HIGH_WATER_MARK
    # A SUB drops subscriptions beyond its mark without a word; it sends nothing else.
    socket.sndhwm = 0 if kind == zmq.SUB else _SEND_HIGH_WATER_MARK
    socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _DEAD_MS)
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _MAX_RECONNECT_MS)
    if curve is not None:
        socket.curve_serverkey = curve.server_key.encode("ascii")
        socket.curve_publickey = curve.public_key.encode("ascii")
        socket.curve_secretkey = curve.secret_key.encode("ascii")
    return socket


def has_news(socket: Socket) -> bool:
    """Say whether there is something to read; after that, the descriptor is quiet until there is more."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)
