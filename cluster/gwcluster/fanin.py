"""From the workers' PUSH to the subscribers' SUB (does): PULL → PUB, forwarded in C by a thread of its own.

No Python runs per event. The coordinator's own notices enter like any event, by a PUSH of ours, and a
SUB of ours listens to the shards' states as any subscriber would: so it is known, and not assumed, that
what a worker said last has come out at the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from typing import Final

import zmq
import zmq.asyncio

from gwcluster.binding import bind, socket_files
from gwcluster.errors import WireError
from gwcluster.wire.events import parse_topic
from gwcluster.wire.notices import SHARD_STATE

PULL_HIGH_WATER_MARK: Final = 10_000
LINGER_MS: Final = 1_000
"""How long a subscriber that is behind may hold up our exit."""

_NOTICES: Final = "inproc://published"

Socket = zmq.Socket[bytes]


class Fanin:
    """The event path of a coordinator.

    Args:
        endpoint: ZeroMQ address to which workers push.
        addresses: those to which subscribers connect.
        high_water_mark: messages queued per subscriber; more are dropped for that one alone.

    Raises:
        BindError: an address can't be bound.
    """

    def __init__(self, endpoint: str, addresses: Sequence[str], high_water_mark: int) -> None:
        self._files = socket_files((endpoint, *addresses))
        self._context: zmq.Context[Socket] = zmq.Context(1)
        pull, pub = self._context.socket(zmq.PULL), self._context.socket(zmq.PUB)
        self._push = self._context.socket(zmq.PUSH)
        self._echo = zmq.asyncio.Context.shadow(self._context).socket(zmq.SUB)
        try:
            pull.rcvhwm = PULL_HIGH_WATER_MARK
            pull.linger = self._push.linger = self._echo.linger = 0
            pub.sndhwm = high_water_mark
            pub.linger = LINGER_MS
            for address in (_NOTICES, *addresses):
                bind(pub, address)
            bind(pull, endpoint)
            self._push.connect(endpoint)
            self._echo.subscribe(f"{SHARD_STATE}.")
            self._echo.connect(_NOTICES)
        except BaseException:
            self._echo.close()  # of a shadow context: destroy doesn't know it, and would wait for it forever
            self._context.destroy(linger=0)
            raise
        self._proxy = threading.Thread(target=_forward, args=(pull, pub), name="fan-in", daemon=True)
        self._proxy.start()

    def publish(self, topic: bytes, header: bytes, payload: bytes) -> None:
        """Publish a notice of the coordinator's own; dropped when the way is full, as it comes again."""
        with contextlib.suppress(zmq.Again):
            self._push.send_multipart([topic, header, payload], zmq.DONTWAIT)

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
        self._context.term()
        self._proxy.join()
        for file in self._files:  # ZeroMQ leaves them behind
            file.unlink(missing_ok=True)


def _forward(pull: Socket, pub: Socket) -> None:
    try:
        zmq.proxy(pull, pub)
    except zmq.ContextTerminated:
        pass
    finally:
        pull.close()
        pub.close()
