"""What becomes of each request (pure): answered at once, refused, or handed on with others in their turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gwcluster.requests.fair_queue import FairQueue
from gwcluster.wire.control import CommandDone
from gwcluster.wire.permissions import Permission, in_words
from gwcluster.wire.refusals import Refusal
from gwcluster.wire.requests import (
    BadRequestError,
    Drain,
    Replay,
    Request,
    Restart,
    Send,
    Status,
    accepted,
    bad_request,
    parse,
    refused,
)

MAX_ENVELOPE_FRAMES: Final = 8
MAX_ENVELOPE_BYTES: Final = 2048

MAX_REPLAYS: Final = 1024
MAX_REPLAYS_PER_CLIENT: Final = 32
MAX_SENDS: Final = 4096
MAX_SENDS_PER_CLIENT: Final = 1024
MAX_STATUSES: Final = 1024
MAX_STATUSES_PER_CLIENT: Final = 8
MAX_RESTARTS: Final = 64
"""Requests that may wait for their answers; what comes then is `rate_limited`."""

RETRY_S: Final = 1.0
"""When to ask again for what there is no room for, or what isn't there yet."""

_ENDING: Final = "the cluster is being stopped"


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom to answer.

    Attributes:
        client: ZeroMQ's name for the connection.
        envelope: what goes before the answer.
    """

    client: bytes
    envelope: list[bytes]


class Client(Protocol):
    """Whose key it is that a connection has; see `gwcluster.curve.clients`."""

    @property
    def name(self) -> str:
        """What to call it."""

    @property
    def may(self) -> Collection[Permission]:
        """What it may do."""


class BackOffice(Protocol):
    """Those to whom requests are handed on. None of them keeps the caller waiting."""

    @property
    def is_ready(self) -> bool:
        """Whether payloads can be sent at all by now."""

    def has_shard(self, shard: int) -> bool | None:
        """Say whether this cluster runs a shard; None: it doesn't know its shards yet."""

    def send(self, ask: Send, done: Callable[[CommandDone], None]) -> None:
        """Have a payload sent; `done` is called once."""

    def status(self, told: Callable[[dict[str, Any]], None]) -> None:
        """Ask how the cluster is; `told` is called once."""

    def restart(self, ask: Restart, done: Callable[[str | None], None]) -> None:
        """Have workers restarted; `done` is called once, with why not or None."""

    def drain(self, done: Callable[[str | None], None]) -> None:
        """Have all shards handed to other hosts; `done` is called once, with why not or None."""

    def read(self, ask: Replay, done: Callable[[bytes], None]) -> None:
        """Have a log read; `done` is called once, with the whole answer."""


class Clerk:
    """Takes requests, and sees to it that each is answered once.

    Args:
        office: whom to hand requests on to; it calls back in the same thread, but never at once.
        answer: takes each answer.
        is_behind: says whether a client has answers to read before it should get more.
    """

    def __init__(
        self,
        office: BackOffice,
        *,
        answer: Callable[[Asker, bytes], None],
        is_behind: Callable[[bytes], bool],
    ) -> None:
        self._office = office
        self._answer = answer
        self._is_behind = is_behind
        self._waiting: FairQueue[tuple[Asker, Replay]] = FairQueue(
            per_client=MAX_REPLAYS_PER_CLIENT, total=MAX_REPLAYS
        )
        self._reading: tuple[Asker, Replay] | None = None
        self._sends: Counter[bytes] = Counter()
        self._all_sends = 0
        self._statuses: FairQueue[tuple[Asker, Any]] = FairQueue(
            per_client=MAX_STATUSES_PER_CLIENT, total=MAX_STATUSES
        )
        self._status_comes = False
        self._restarts: list[tuple[Asker, Any]] = []

    def take(self, frames: list[bytes], client: Client | None = None) -> None:
        """Take one message.

        Args:
            frames: ZeroMQ's name for the connection, its envelope, and the request.
            client: whose key the connection has; None: no keys are asked for, and all may do everything.
        """
        connection, *envelope, body = frames
        asker = Asker(connection, envelope)
        try:
            size = sum(map(len, envelope))
            if len(envelope) > MAX_ENVELOPE_FRAMES or size > MAX_ENVELOPE_BYTES:
                asker = Asker(connection, [b""] if envelope[0] == b"" else [])
                raise BadRequestError(
                    f"{len(envelope)} frames of {size} bytes before the request; at most "
                    f"{MAX_ENVELOPE_FRAMES} of {MAX_ENVELOPE_BYTES} come back: send none, or an empty one"
                )
            ask = parse(body)
        except BadRequestError as error:
            self._answer(asker, bad_request(error))
            return
        if client is not None and ask.needs not in client.may:
            self._answer(asker, _forbidden(ask, client))
            return
        match ask:
            case Replay():
                self._take_replay(asker, ask)
            case Send():
                self._take_send(asker, ask)
            case Status():
                self._take_status(asker, ask)
            case Restart():
                self._take_restart(asker, ask)
            case Drain():
                self._take_drain(asker, ask)

    def serve(self) -> None:
        """Have the next replay read, if none is; not for a client that has answers to read first."""
        if self._reading is not None:
            return
        taken = self._waiting.take(lambda client: not self._is_behind(client))
        if taken is not None:
            _, (asker, ask) = taken
            self._reading = asker, ask
            self._office.read(ask, lambda body: self._read(asker, body))

    def forget(self, client: bytes) -> None:
        """A client is gone; what it waits for needn't be read any more."""
        self._waiting.forget(client)
        self._statuses.forget(client)

    def refuse_waiting(self) -> None:
        """The cluster is being stopped: answer the replays whose turn hasn't come."""
        for asker, ask in self._waiting.drain():
            self._not_ready(asker, ask.id, _ENDING)

    def refuse_rest(self) -> None:
        """Nobody calls back any more: answer what was handed on, except payloads, which may be sent."""
        for asker, number in self._statuses.drain():
            self._not_ready(asker, number, _ENDING)
        while self._restarts:
            self._not_ready(*self._restarts.pop(), _ENDING)
        if self._reading is not None:  # the disk hangs
            asker, ask = self._reading
            self._not_ready(asker, ask.id, _ENDING)

    # One kind of request each

    def _take_replay(self, asker: Asker, ask: Replay) -> None:
        known = self._office.has_shard(ask.shard)
        if known is None:
            self._not_yet(asker, ask.id)
        elif not known:
            said = f"shard {ask.shard} is not run by this cluster"
            self._answer(asker, refused(ask.id, Refusal.UNKNOWN_SHARD, said))
        elif not self._waiting.put(asker.client, (asker, ask)):
            said = f"at most {MAX_REPLAYS_PER_CLIENT} replays of a client may wait, and {MAX_REPLAYS} in all"
            self._too_many(asker, ask.id, said)

    def _read(self, asker: Asker, body: bytes) -> None:
        self._reading = None
        self._answer(asker, body)

    def _take_send(self, asker: Asker, ask: Send) -> None:
        client = asker.client
        if not self._office.is_ready:
            self._not_yet(asker, ask.id)
        elif self._sends[client] >= MAX_SENDS_PER_CLIENT or self._all_sends >= MAX_SENDS:
            said = f"at most {MAX_SENDS_PER_CLIENT} payloads of a client may wait, and {MAX_SENDS} in all"
            self._too_many(asker, ask.id, said)
        else:
            self._sends[client] += 1
            self._all_sends += 1
            self._office.send(ask, lambda done: self._sent(asker, ask, done))

    def _sent(self, asker: Asker, ask: Send, done: CommandDone) -> None:
        self._all_sends -= 1
        self._sends[asker.client] -= 1
        if not self._sends[asker.client]:
            del self._sends[asker.client]
        if done.code is None:
            self._answer(asker, accepted(ask.id))
        else:
            self._answer(asker, refused(ask.id, done.code, done.message, retry_after_s=done.retry_after_s))

    def _take_status(self, asker: Asker, ask: Status) -> None:
        if not self._statuses.put(asker.client, (asker, ask.id)):
            said = (
                f"at most {MAX_STATUSES_PER_CLIENT} questions of a client for the status may wait, "
                f"and {MAX_STATUSES} in all"
            )
            self._too_many(asker, ask.id, said)
        elif not self._status_comes:  # who asks while it is on its way gets the same
            self._status_comes = True
            self._office.status(self._told)

    def _told(self, document: dict[str, Any]) -> None:
        self._status_comes = False
        for asker, number in self._statuses.drain():
            self._answer(asker, accepted(number, status=document))

    def _take_restart(self, asker: Asker, ask: Restart) -> None:
        known = None if ask.shard is None else self._office.has_shard(ask.shard)
        if not self._office.is_ready:
            self._not_yet(asker, ask.id)
        elif ask.shard is not None and not known:
            said = f"shard {ask.shard} is not run by this cluster"
            self._answer(asker, refused(ask.id, Refusal.UNKNOWN_SHARD, said))
        elif len(self._restarts) >= MAX_RESTARTS:
            self._too_many(asker, ask.id, f"at most {MAX_RESTARTS} restarts may wait to be begun")
        else:
            waiting = asker, ask.id
            self._restarts.append(waiting)
            self._office.restart(ask, lambda why: self._begun(waiting, why))

    def _take_drain(self, asker: Asker, ask: Drain) -> None:
        if not self._office.is_ready:
            self._not_yet(asker, ask.id)
        elif len(self._restarts) >= MAX_RESTARTS:
            self._too_many(asker, ask.id, f"at most {MAX_RESTARTS} restarts may wait to be begun")
        else:
            waiting = asker, ask.id
            self._restarts.append(waiting)
            self._office.drain(lambda why: self._begun(waiting, why))

    def _begun(self, waiting: tuple[Asker, Any], why: str | None) -> None:
        if waiting not in self._restarts:
            return  # answered already, as the cluster was being stopped
        self._restarts.remove(waiting)
        asker, number = waiting
        if why is None:
            self._answer(asker, accepted(number))
        else:
            self._answer(asker, refused(number, Refusal.NOT_READY, why))

    # Refusals

    def _not_yet(self, asker: Asker, number: Any) -> None:
        self._not_ready(asker, number, "the cluster doesn't know its shards yet")

    def _not_ready(self, asker: Asker, number: Any, said: str) -> None:
        self._answer(asker, refused(number, Refusal.NOT_READY, said, retry_after_s=RETRY_S))

    def _too_many(self, asker: Asker, number: Any, said: str) -> None:
        self._answer(asker, refused(number, Refusal.RATE_LIMITED, said, retry_after_s=RETRY_S))


def _forbidden(ask: Request, client: Client) -> bytes:
    said = f"this needs a key that may {ask.needs}; that of client {client.name} may {in_words(client.may)}"
    return refused(ask.id, Refusal.FORBIDDEN, said)
