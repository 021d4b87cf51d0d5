"""From the workers' PUSH to the subscribers' SUB (does): PULL → PUB, forwarded in C by a thread of its own.

No Python runs per event. The coordinator's own notices enter like any event, by a PUSH of ours, and a
SUB of ours listens to the shards' states as any subscriber would: so it is known, and not assumed, that
what a worker said last has come out at the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import zmq
import zmq.asyncio

from gwcluster.allowance import Allowance
from gwcluster.binding import BindError, bind, socket_files
from gwcluster.curve.door import EVENTS, Door, Locks
from gwcluster.errors import WireError
from gwcluster.inflow import Inflow
from gwcluster.wire.events import parse_topic
from gwcluster.wire.notices import SHARD_STATE

PULL_HIGH_WATER_MARK: Final = 10_000
CONNECTING_AT_ONCE: Final = 4_096
"""Workers that may be waiting to be let in; the system's own limit (`net.core.somaxconn`) may be lower."""

LINGER_MS: Final = 1_000
"""How long a subscriber that is behind may hold up our exit."""

REBIND_S: Final = 5.0
"""How long an address that was left for a moment may take to be bound again, before that is an error."""

_REBIND_AGAIN_S: Final = 0.02
_NOTICES: Final = "inproc://published"
_CONTROL: Final = "inproc://control"

SUBSCRIPTIONS: Final = Allowance(each_bytes=512 << 10, total_bytes=8 << 20, per_s_bytes=1 << 10)
"""What subscribers may send: subscriptions, each byte of which may cost 60, and now and then heartbeats."""

MAX_TOPIC_BYTES: Final = 1 << 10
"""A subscriber that sends a longer one loses its connection. Handshakes have to fit, too."""

HANDSHAKE_MS: Final = 10_000
"""How long a connection may take to say who it is."""

Socket = zmq.Socket[bytes]

log = logging.getLogger(__name__)


class Fanin:
    """The event path of a coordinator.

    Args:
        endpoint: ZeroMQ address to which workers push.
        addresses: those to which subscribers connect.
        high_water_mark: messages queued per subscriber; more are dropped for that one alone.
        locks: whose keys are good for what; None: everybody may subscribe.
        clock: monotonic seconds.

    Raises:
        BindError: an address can't be bound.
    """

    def __init__(
        self,
        endpoint: str,
        addresses: Sequence[str],
        high_water_mark: int,
        *,
        locks: Locks | None = None,
        clock: Callable[[], float],
    ) -> None:
        self._files = socket_files((endpoint, *addresses))
        self._context: zmq.Context[Socket] = zmq.Context(1)
        pull, pub = self._context.socket(zmq.PULL), self._context.socket(zmq.PUB)
        self._push = self._context.socket(zmq.PUSH)
        self._steering: Socket | None = None
        self._door = None if locks is None else Door(self._context, locks)
        self._echo = zmq.asyncio.Context.shadow(self._context).socket(zmq.SUB)
        try:
            pull.rcvhwm = PULL_HIGH_WATER_MARK
            pull.backlog = CONNECTING_AT_ONCE
            pull.linger = self._push.linger = self._echo.linger = 0
            pub.sndhwm = high_water_mark
            pub.maxmsgsize, pub.handshake_ivl = MAX_TOPIC_BYTES, HANDSHAKE_MS
            pub.linger = LINGER_MS
            if self._door is not None:
                self._door.lock(pub, EVENTS)
            inflow = Inflow(pub, addresses, SUBSCRIPTIONS, clock=clock)
            bind(pub, _NOTICES)
            outlets = [_Outlet(pub, address) for address in addresses]
            bind(pull, endpoint)
            self._push.connect(endpoint)
            self._echo.subscribe(f"{SHARD_STATE}.")
            self._echo.connect(_NOTICES)
            forward = partial(_forward, pull, pub)
            if locks is not None:
                steered = self._context.socket(zmq.PAIR)
                steered.bind(_CONTROL)
                self._steering = self._context.socket(zmq.PAIR)
                self._steering.connect(_CONTROL)
                forward = partial(_forward_steered, pull, pub, steered, outlets, clock)
        except BaseException:
            if self._door is not None:
                self._door.close()
            self._echo.close()  # of a shadow context: destroy doesn't know it, and would wait for it forever
            self._context.destroy(linger=0)
            raise
        inflow.start()
        self._proxy = threading.Thread(target=forward, name="fan-in", daemon=True)
        self._proxy.start()

    def publish(self, topic: bytes, header: bytes, payload: bytes) -> None:
        """Publish a notice of the coordinator's own; dropped when the way is full, as it comes again."""
        with contextlib.suppress(zmq.Again):
            self._push.send_multipart([topic, header, payload], zmq.DONTWAIT)

    def hang_up(self) -> None:
        """End every subscriber's connection; those that may come back do, and fetch what they missed.

        ZeroMQ lets go of all connections of an address or of none. Workers wait meanwhile in their queues.
        """
        assert self._steering is not None, "without keys nobody loses one"
        while self._steering.poll(0):  # what it says to each order tells nothing
            self._steering.recv()
        self._steering.send(b"TERMINATE")

    async def listen(self, seen: Callable[[int, str], None]) -> None:
        """Call `seen` with shard and state whenever one has been published, until cancelled."""
        while True:
            frames = await self._echo.recv_multipart()
            try:
                _, shard = parse_topic(frames[0])
                state = str(json.loads(frames[2])["d"]["state"])
            except (WireError, ValueError, LookupError, TypeError, RecursionError):
                continue  # no worker of ours says such a thing; subscribers drop it too
            seen(shard, state)

    async def close(self) -> None:
        """Let queued messages go out, for at most `LINGER_MS`, and close every socket."""
        self._push.close()
        self._echo.close()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        if self._door is not None:
            self._door.close()
        if self._steering is not None:
            self._steering.close(0)
        self._context.term()
        self._proxy.join()
        for file in self._files:  # ZeroMQ leaves them behind
            file.unlink(missing_ok=True)


class _Outlet:
    """An address of the PUB socket that can be left and taken again."""

    def __init__(self, pub: Socket, address: str) -> None:
        self.address = address
        self._pub = pub
        self._bound: str | bytes | None = None
        self.take()

    def leave(self) -> None:
        """Listen no more, and end every connection."""
        if self._bound is not None:
            self._pub.unbind(self._bound)
            self._bound = None

    def take(self) -> None:
        """Listen, unless it does.

        Raises:
            BindError: it can't.
        """
        if self._bound is None:
            bind(self._pub, self.address)
            bound = self._pub.getsockopt(zmq.LAST_ENDPOINT)
            assert isinstance(bound, bytes), "the address that was bound, in bytes"
            self._bound = bound


def _forward(pull: Socket, pub: Socket) -> None:
    try:
        zmq.proxy(pull, pub)
    except zmq.ContextTerminated:
        pass
    finally:
        pull.close()
        pub.close()


def _forward_steered(
    pull: Socket, pub: Socket, steering: Socket, outlets: Sequence[_Outlet], clock: Callable[[], float]
) -> None:
    try:
        while True:
            zmq.proxy_steerable(pull, pub, None, steering)
            for outlet in outlets:
                outlet.leave()
            _take_again(outlets, clock)
    except zmq.ContextTerminated:
        pass
    finally:
        steering.close()
        pull.close()
        pub.close()


def _take_again(outlets: Sequence[_Outlet], clock: Callable[[], float]) -> None:
    """Bind what was left, which is free as soon as a thread of ZeroMQ's has closed it."""
    until = clock() + REBIND_S
    for outlet in outlets:
        while True:
            try:
                outlet.take()
                break
            except BindError as error:
                if clock() >= until:
                    log.error("%s; nobody hears events there until the next change of keys or start", error)
                    break
            time.sleep(_REBIND_AGAIN_S)
