"""Where requests come in and answers go out (does): a ROUTER, in a thread of its own that waits for nobody.

The desk reads, refuses what is no request, and hands on the rest: replays to the thread that reads logs, one
at a time, all else to the control loop. So neither many requests nor a disk that hangs holds up the control
loop, and events don't come by here at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import zmq

from gwcluster.binding import bind, socket_files
from gwcluster.requests.control_loop import ControlLoop
from gwcluster.requests.fair_queue import FairQueue
from gwcluster.requests.outbox import Outbox
from gwcluster.wire.control import CommandDone
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.requests import (
    BadRequestError,
    Replay,
    Send,
    Status,
    accepted,
    bad_request,
    parse,
    refused,
)

MAX_FRAME_BYTES: Final = 256 << 10
"""A client that sends a larger one loses its connection; up to it, what is too large is answered."""

RECEIVE_HIGH_WATER_MARK: Final = 16
SEND_HIGH_WATER_MARK: Final = 4
"""Messages that ZeroMQ queues per client. It counts no bytes, and an answer may have a megabyte of them."""

HEARTBEAT_MS: Final = 5_000
DEAD_MS: Final = 15_000
"""How often a client that is silent is asked whether it lives, and when it is taken for dead."""

MAX_ENVELOPE_FRAMES: Final = 8
MAX_ENVELOPE_BYTES: Final = 2048

MAX_REPLAYS: Final = 1024
MAX_REPLAYS_PER_CLIENT: Final = 32
MAX_SENDS: Final = 4096
MAX_SENDS_PER_CLIENT: Final = 1024
MAX_STATUSES: Final = 256
"""Requests that may wait for their answers; what comes then is `rate_limited`."""

WAITING_BYTES: Final = 32 << 20
WAITING_BYTES_PER_CLIENT: Final = 2 << 20
"""Answers that wait here because their clients don't read; what comes then is dropped."""

PER_PASS: Final = 64
"""Requests that are read before answers get their turn."""

FIRST_RETRY_MS: Final = 2
LAST_RETRY_MS: Final = 100
LINGER_MS: Final = 500
_JOIN_S: Final = 2.0
SAY_S: Final = 60.0
"""Between two log lines about answers that were dropped."""

RETRY_S: Final = 1.0
"""When to ask again for what there is no room for, or what isn't there yet."""

_ENDING: Final = "the cluster is being stopped"

Socket = zmq.Socket[bytes]

log = logging.getLogger(__name__)


class Replays(Protocol):
    """Who reads logs; see `gwcluster.requests.replay`."""

    def serve(self, ask: Replay, answer: Callable[[bytes], None]) -> None:
        """Call `answer` with the answer, once, in any thread."""

    def close(self) -> None:
        """Come to an end."""


@dataclass(frozen=True, slots=True)
class _Asker:
    """Whom to answer.

    Attributes:
        client: ZeroMQ's name for the connection.
        envelope: what goes before the answer.
    """

    client: bytes
    envelope: list[bytes]


class Desk:
    """Answers requests.

    Args:
        addresses: those to which clients connect.
        control: the control loop.
        replays: begins to read logs; closed with the desk.
        clock: monotonic seconds.

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
    ) -> None:
        self._control = control
        self._clock = clock
        self._files = socket_files(addresses)
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._router = _router(self._context, addresses)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._mail: deque[Callable[[], None]] = deque()
        self._outbox = Outbox(per_client_bytes=WAITING_BYTES_PER_CLIENT, total_bytes=WAITING_BYTES)
        self._waiting: FairQueue[tuple[_Asker, Replay]] = FairQueue(
            per_client=MAX_REPLAYS_PER_CLIENT, total=MAX_REPLAYS
        )
        self._reading: tuple[_Asker, Replay] | None = None
        self._sends: Counter[bytes] = Counter()
        self._all_sends = 0
        self._statuses: list[tuple[_Asker, Any]] = []
        self._retry_ms = FIRST_RETRY_MS
        self._open = True
        self._ending = False
        self._say_dropped_at = float("-inf")
        self._replays = replays()
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
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._bell, zmq.POLLIN)
        while self._open:
            poller.poll(self._retry_ms if self._outbox.clients else None)
            try:
                self._pass_once()
            except Exception:
                log.exception("bug: a request was not answered")
        self._router.close(LINGER_MS)
        self._context.term()

    def _pass_once(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        while self._mail:
            self._mail.popleft()()
        self._retry()
        if self._ending:
            return
        for _ in range(PER_PASS):
            try:
                frames = self._router.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            self._take(frames)
        self._serve()

    def _take_no_more(self) -> None:
        self._ending = True
        while (taken := self._waiting.take(lambda _: True)) is not None:
            _, (asker, ask) = taken
            self._answer(asker, refused(ask.id, Refusal.NOT_READY, _ENDING, retry_after_s=RETRY_S))

    def _leave(self) -> None:
        unanswered = [(asker, number) for asker, number in self._statuses]
        if self._reading is not None:  # the disk hangs
            asker, ask = self._reading
            unanswered.append((asker, ask.id))
        for asker, number in unanswered:
            self._answer(asker, refused(number, Refusal.NOT_READY, _ENDING, retry_after_s=RETRY_S))
        self._open = False

    def _take(self, frames: list[bytes]) -> None:
        client, *envelope, body = frames
        asker = _Asker(client, envelope)
        try:
            if len(envelope) > MAX_ENVELOPE_FRAMES or sum(map(len, envelope)) > MAX_ENVELOPE_BYTES:
                asker = _Asker(client, [b""] if envelope[0] == b"" else [])
                raise BadRequestError(
                    f"{len(envelope)} frames before the request; send none, or an empty one as REQ does"
                )
            ask = parse(body)
        except BadRequestError as error:
            self._answer(asker, bad_request(error))
            return
        match ask:
            case Replay():
                self._take_replay(asker, ask)
            case Send():
                self._take_send(asker, ask)
            case Status():
                self._take_status(asker, ask)

    def _take_replay(self, asker: _Asker, ask: Replay) -> None:
        ids = self._control.ids
        if ids is None:
            self._not_yet(asker, ask.id)
        elif ask.shard not in ids:
            said = f"shard {ask.shard} is not run by this cluster"
            self._answer(asker, refused(ask.id, Refusal.UNKNOWN_SHARD, said))
        elif not self._waiting.put(asker.client, (asker, ask)):
            said = f"at most {MAX_REPLAYS_PER_CLIENT} replays of a client may wait, and {MAX_REPLAYS} in all"
            self._too_many(asker, ask.id, said)

    def _take_send(self, asker: _Asker, ask: Send) -> None:
        client = asker.client
        if self._control.commands is None:
            self._not_yet(asker, ask.id)
        elif self._sends[client] >= MAX_SENDS_PER_CLIENT or self._all_sends >= MAX_SENDS:
            said = f"at most {MAX_SENDS_PER_CLIENT} payloads of a client may wait, and {MAX_SENDS} in all"
            self._too_many(asker, ask.id, said)
        else:
            self._sends[client] += 1
            self._all_sends += 1
            self._control.send(ask, lambda done: self._post(lambda: self._sent(asker, ask, done)))

    def _sent(self, asker: _Asker, ask: Send, done: CommandDone) -> None:
        self._all_sends -= 1
        self._sends[asker.client] -= 1
        if not self._sends[asker.client]:
            del self._sends[asker.client]
        if done.code is None:
            self._answer(asker, accepted(ask.id))
        else:
            self._answer(asker, refused(ask.id, done.code, done.message, retry_after_s=done.retry_after_s))

    def _take_status(self, asker: _Asker, ask: Status) -> None:
        if len(self._statuses) >= MAX_STATUSES:
            self._too_many(asker, ask.id, f"at most {MAX_STATUSES} questions for the status may wait")
            return
        self._statuses.append((asker, ask.id))
        if len(self._statuses) == 1:  # who asks while it is on its way gets the same
            self._control.status(lambda document: self._post(lambda: self._told(document)))

    def _told(self, document: dict[str, Any]) -> None:
        asked, self._statuses = self._statuses, []
        for asker, number in asked:
            self._answer(asker, accepted(number, status=document))

    def _not_yet(self, asker: _Asker, number: Any) -> None:
        said = "the cluster doesn't know its shards yet"
        self._answer(asker, refused(number, Refusal.NOT_READY, said, retry_after_s=RETRY_S))

    def _too_many(self, asker: _Asker, number: Any, said: str) -> None:
        self._answer(asker, refused(number, Refusal.RATE_LIMITED, said, retry_after_s=RETRY_S))

    def _serve(self) -> None:
        """Have the next replay read, if none is; not for a client that has answers to read first."""
        if self._reading is not None:
            return
        taken = self._waiting.take(lambda client: not self._outbox.has(client))
        if taken is not None:
            _, (asker, ask) = taken
            self._reading = asker, ask
            self._replays.serve(ask, lambda body: self._post(lambda: self._read(asker, body)))

    def _read(self, asker: _Asker, body: bytes) -> None:
        self._reading = None
        self._answer(asker, body)

    # Out

    def _answer(self, asker: _Asker, body: bytes) -> None:
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
            self._waiting.forget(message[0])
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


def _router(context: zmq.Context[Socket], addresses: Sequence[str]) -> Socket:
    router = context.socket(zmq.ROUTER)
    try:
        router.maxmsgsize = MAX_FRAME_BYTES
        router.rcvhwm, router.sndhwm = RECEIVE_HIGH_WATER_MARK, SEND_HIGH_WATER_MARK
        router.router_mandatory = True  # who can't take an answer is told to us, instead of losing it
        router.heartbeat_ivl, router.heartbeat_timeout = HEARTBEAT_MS, DEAD_MS
        for address in addresses:
            bind(router, address)
    except BaseException:
        context.destroy(linger=0)
        raise
    return router
