"""The sockets of one subscription (does): reads what is there, sends what is due, and never waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from gwcluster.client.addresses import Addresses
from gwcluster.client.entry import EVENTS, SUCCEEDED, Entry
from gwcluster.client.following import Following
from gwcluster.client.keys import Curve

BATCH: Final = 200
"""Messages that are read at a time, before others get their turn."""

LOOK_S: Final = 0.4
STALL_S: Final = 1.0
"""How often to look for messages at least, and the pause after which the publisher may have dropped some."""

_RECEIVE_HIGH_WATER_MARK: Final = 1_000
_SEND_HIGH_WATER_MARK: Final = 64
_HEARTBEAT_MS: Final = 5_000
_DEAD_MS: Final = 15_000
_RECONNECT_MS: Final = 100
_MAX_RECONNECT_MS: Final = 2_000

Socket = zmq.Socket[bytes]


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


class Line:
    """What connects one `Following` with a cluster.

    Args:
        addresses: of the cluster.
        clock: monotonic seconds.

    Attributes:
        sockets: what becomes readable when `pump` has something to do.
    """

    def __init__(
        self,
        context: zmq.Context[Socket],
        addresses: Addresses,
        *,
        following: Following,
        clock: Callable[[], float],
    ) -> None:
        self._following = following
        self._clock = clock
        self._sub, self._monitor = monitored(context, zmq.SUB, addresses.events, addresses.curve, EVENTS)
        self._entry = Entry(addresses.events, has_key=addresses.curve is not None)
        for prefix in following.wanted.prefixes:
            self._sub.subscribe(prefix)
        self._dealer = connected(context, zmq.DEALER, addresses.requests, addresses.curve)
        self._empty_at = clock()
        self.sockets = (self._sub, self._monitor, self._dealer)

    def pump(self) -> bool:
        """Hand over what has come and send what is due; say whether there is more to read already."""
        now, following = self._clock(), self._following
        batch = [] if following.full else self._read()
        # After the messages: a new connection is told of before anything that comes over it.
        while has_news(self._monitor):
            event = parse_monitor_message(self._monitor.recv_multipart(zmq.DONTWAIT))["event"]
            if (refused := self._entry.heard(event)) is not None:
                following.failed(refused)
            elif event == SUCCEEDED:
                following.reconnected(now)
        if now - self._empty_at > STALL_S:
            following.stalled(now)
            self._empty_at = now
        if len(batch) < BATCH and not following.full:
            self._empty_at = now
        for frames in batch:
            following.received(frames, now)
        while has_news(self._dealer):
            following.answered(self._dealer.recv_multipart(zmq.DONTWAIT)[-1], now)
        self._send(now)
        events, *others = [has_news(socket) for socket in self.sockets]
        return any(others) or (events and not following.full)

    def _read(self) -> list[list[bytes]]:
        batch: list[list[bytes]] = []
        try:
            while len(batch) < BATCH:
                batch.append(self._sub.recv_multipart(zmq.DONTWAIT))
        except zmq.Again:
            pass
        return batch

    def _send(self, now: float) -> None:
        try:
            for body in self._following.questions(now):
                self._dealer.send(body, zmq.DONTWAIT)
        except zmq.Again:
            pass  # the cluster has been away for long; what wasn't sent is repeated

    @property
    def wait_s(self) -> float:
        """How long nothing needs to be done, if nothing comes."""
        due = self._following.due
        return LOOK_S if due is None else min(LOOK_S, max(0.0, due - self._clock()))

    def close(self) -> None:
        """Close every socket."""
        self._sub.disable_monitor()
        for socket in self.sockets:
            socket.close()
