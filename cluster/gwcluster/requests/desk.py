"""Where requests come in and answers go out (does): a ROUTER, in a thread of its own that waits for nobody.

The desk reads and writes, its clerk decides. What isn't refused is handed on: replays to the thread that
reads logs, one at a time, all else to the control loop. So neither many requests nor a disk that hangs holds
up the control loop, and events don't come by here at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import zmq

from gwcluster.allowance import Allowance
from gwcluster.binding import bind, socket_files
from gwcluster.curve.clients import Client
from gwcluster.curve.door import REQUESTS, Door, Locks
from gwcluster.inflow import Inflow
from gwcluster.requests.back_office import BackOffice, Replays
from gwcluster.requests.clerk import Asker, Clerk
from gwcluster.requests.control_loop import ControlLoop
from gwcluster.requests.outbox import Outbox

MAX_FRAME_BYTES: Final = 256 << 10
"""A client that sends a larger one loses its connection; up to it, what is too large is answered."""

RECEIVE_HIGH_WATER_MARK: Final = 16
SEND_HIGH_WATER_MARK: Final = 4
"""Messages that ZeroMQ queues per client. It counts no bytes, and an answer may have a megabyte of them."""

HEARTBEAT_MS: Final = 5_000
DEAD_MS: Final = 15_000
"""How often a client that is silent is asked whether it lives, and when it is taken for dead."""

WAITING_BYTES: Final = 32 << 20
WAITING_BYTES_PER_CLIENT: Final = 2 << 20
"""Answers that wait here because their clients don't read; what comes then is dropped."""

UNREAD: Final = Allowance(each_bytes=4 << 20, total_bytes=32 << 20, per_s_bytes=1 << 10)
"""What clients may send until a message of theirs is complete and read; ZeroMQ queues a megabyte or so."""

HANDSHAKE_MS: Final = 10_000
"""How long a connection may take to say who it is."""

PER_PASS: Final = 32
"""Requests that are read before answers get their turn."""

REST_MS: Final = 2
"""How long the desk rests where more than that come, unless it is called: Python runs one thread at a time,
and who reads logs would wait for its turn again and again."""

FIRST_RETRY_MS: Final = 2
LAST_RETRY_MS: Final = 100
LINGER_MS: Final = 500
_JOIN_S: Final = 2.0
SAY_S: Final = 60.0
"""Between two log lines about answers that were dropped."""

_REMOVED: Final = Client("(removed)", frozenset())

Socket = zmq.Socket[bytes]

log = logging.getLogger(__name__)


class Desk:
    """Answers requests.

    Args:
        addresses: those to which clients connect.
        control: the control loop.
        replays: begins to read logs; closed with the desk.
        clock: monotonic seconds.
        locks: whose keys are good for what; None: everybody may do everything.

    Raises:
        BindError: an address can't be bound.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        control: ControlLoop,
        replays: Callable[[], Replays],
        *,
        clock: Callable[[], float],
        locks: Locks | None = None,
    ) -> None:
        self._clock = clock
        self._clients = None if locks is None else locks.clients
        self._files = socket_files(addresses)
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._door = None if locks is None else Door(self._context, locks)
        self._router, self._inflow = _router(self._context, addresses, self._door, clock)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._mail: deque[Callable[[], None]] = deque()
        self._outbox = Outbox(per_client_bytes=WAITING_BYTES_PER_CLIENT, total_bytes=WAITING_BYTES)
        self._retry_ms = FIRST_RETRY_MS
        self._open = True
        self._ending = False
        self._say_dropped_at = float("-inf")
        self._replays = replays()
        self._clerk = Clerk(
            BackOffice(control, self._replays, self._post),
            answer=self._answer,
            is_behind=self._outbox.has,
        )
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Answer what waits, let answers go out for at most `LINGER_MS`, and close the socket."""
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._post(self._take_no_more)
        self._replays.close()
        self._post(self._leave)
        self._thread.join(_JOIN_S)
        for file in self._files:
            file.unlink(missing_ok=True)

    def _post(self, errand: Callable[[], None]) -> None:
        """Have something done in the desk's thread; the one way into it."""
        self._mail.append(errand)
        os.eventfd_write(self._bell, 1)

    # In the desk's thread

    def _run(self) -> None:
        poller, rest = zmq.Poller(), zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        rest.register(self._bell, zmq.POLLIN)
        more = False
        while self._open:
            if more:
                rest.poll(REST_MS)
            else:
                poller.poll(self._retry_ms if self._outbox.clients else None)
            try:
                more = self._pass_once()
            except Exception:
                log.exception("bug: a request was not answered")
        if self._door is not None:
            self._door.close()
        self._router.close(LINGER_MS)
        self._context.term()

    def _pass_once(self) -> bool:
        """Do what there is to do; say whether more requests are waiting, maybe."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        while self._mail:
            self._mail.popleft()()
        self._retry()
        if self._ending:
            return False
        more = True
        for _ in range(PER_PASS):
            try:
                frames = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                more = False
                break
            self._inflow.was_read(frames[-1])
            self._clerk.take([frame.bytes for frame in frames], self._owner(frames[-1]))
        self._clerk.serve()
        return more

    def _owner(self, frame: zmq.Frame) -> Client | None:
        if self._clients is None:
            return None
        # libzmq lets nobody in without a key, but the key may have been removed since.
        return self._clients.who(str(frame.get("User-Id")).encode()) or _REMOVED

    def _take_no_more(self) -> None:
        self._ending = True
        self._clerk.refuse_waiting()

    def _leave(self) -> None:
        self._clerk.refuse_rest()
        self._open = False

    # Out

    def _answer(self, asker: Asker, body: bytes) -> None:
        message = [asker.client, *asker.envelope, body]
        if not self._outbox.has(asker.client) and self._try(message):
            return
        if not self._outbox.put(asker.client, message):
            self._dropped()

    def _try(self, message: list[bytes]) -> bool:
        """Send an answer, and say whether it is settled: its client may be gone."""
        try:
            self._router.send_multipart(message, zmq.DONTWAIT)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._clerk.forget(message[0])
            self._outbox.forget(message[0])
        return True

    def _retry(self) -> None:
        progress = False
        for client in self._outbox.clients:
            while (message := self._outbox.first(client)) is not None and self._try(message):
                progress = True
                if self._outbox.has(client):
                    self._outbox.sent(client)
        self._retry_ms = FIRST_RETRY_MS if progress else min(2 * self._retry_ms, LAST_RETRY_MS)

    def _dropped(self) -> None:
        if self._clock() >= self._say_dropped_at:
            self._say_dropped_at = self._clock() + SAY_S
            log.warning(
                "clients that don't read their answers lose them: %d dropped so far", self._outbox.dropped
            )


def _router(
    context: zmq.Context[Socket], addresses: Sequence[str], door: Door | None, clock: Callable[[], float]
) -> tuple[Socket, Inflow]:
    router = context.socket(zmq.ROUTER)
    try:
        if door is not None:
            door.lock(router, REQUESTS)
        router.maxmsgsize = MAX_FRAME_BYTES
        router.rcvhwm, router.sndhwm = RECEIVE_HIGH_WATER_MARK, SEND_HIGH_WATER_MARK
        router.router_mandatory = True  # who can't take an answer is told to us, instead of losing it
        router.handshake_ivl = HANDSHAKE_MS
        inflow = Inflow(router, addresses, UNREAD, clock=clock)
        router.heartbeat_ivl, router.heartbeat_timeout = HEARTBEAT_MS, DEAD_MS
        for address in addresses:
            bind(router, address)
    except BaseException:
        if door is not None:
            door.close()
        context.destroy(linger=0)
        raise
    inflow.start()
    return router, inflow
