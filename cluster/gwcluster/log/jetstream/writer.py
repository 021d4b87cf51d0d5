"""The one writer of a shard's log in JetStream (does). `flight` decides for it; `opening` makes it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, assert_never

from gwcluster.errors import LogError, quoted
from gwcluster.log.interface import Frames, Received
from gwcluster.log.jetstream import message, names, stream
from gwcluster.log.jetstream.answers import outcome
from gwcluster.log.jetstream.flight import Compare, Flight, Item, Perform, Publish
from gwcluster.log.jetstream.light import Msg
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.message import Kind
from gwcluster.log.jetstream.sessions import OvertakenError, Sessions
from gwcluster.log.state import State
from gwcluster.wire.events import header_encoder, topic

FENCE_RECORDS: Final = 4096
FENCE_S: Final = 600.0
PARTS: Final = 8
"""A fence comes at least with each eighth of the retention, so that one is always there, and none is old."""

STALL_S: Final = 2.0
FINISH_S: Final = 4.0
_OVERHEAD: Final = 400

_NAME: Final = re.compile("[A-Za-z0-9_]{1,100}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose log it is, and who writes it.

    Attributes:
        name: the cluster's.
        host, token: of the lease; told in fences, for people.
        writer: 16 hex digits that no other opening has.
    """

    name: str
    shard: int
    shards: int
    host: str
    token: int
    writer: str

    @property
    def stream(self) -> str:
        """The log's stream."""
        return names.stream(self.name, self.shard)

    def subject(self, token: str) -> str:
        """Return the subject of an event's name, or of another last token."""
        return names.subject(self.name, self.shard, token)


class Writer:
    """See `LogWriter`. Everything is staged in memory, and counts when JetStream says so.

    Args:
        state: where the log stands.
        begins: sequence with which its epoch begins.
        last: sequence of our fence, the stream's last message.
        retention_bytes, retention_age_s: bounds of the log.
        clock, wall: monotonic and Unix seconds.
        fenced: called once if somebody else writes the log; nothing counts any more then.

    Attributes:
        epoch, next_offset, last_offsets: see `LogWriter`.
    """

    def __init__(
        self,
        link: Link,
        place: Place,
        sessions: Sessions,
        state: State,
        begins: int,
        last: int,
        *,
        retention_bytes: int,
        retention_age_s: float,
        clock: Callable[[], float],
        wall: Callable[[], float],
        fenced: Callable[[str], None],
    ) -> None:
        self.epoch: Final = state.epoch
        self.next_offset = state.next_offset
        self.last_offsets = state.last_offsets
        self._link = link
        self._place = place
        self._sessions = sessions
        self._state = state
        self._begins = begins
        self._retention_age_s = retention_age_s
        self._fence_s = min(FENCE_S, retention_age_s / PARTS)
        self._fence_bytes = max(retention_bytes, stream.LEAST_BYTES) // PARTS
        self._clock = clock
        self._wall = wall
        self._fenced = fenced
        self._encode_header = header_encoder(state.shard, state.shards, state.epoch)
        self._names: dict[str, tuple[bytes, str]] = {}
        self._staged: list[Item] = []
        self._staged_bytes = 0
        self._pending: Received = (state.session, state.seq)
        window_bytes = self._fence_bytes  # what is on its way must not push out what it is compared with
        self._flight = Flight(last, self._pending, clock(), window_bytes=min(8 << 20, 2 * window_bytes))
        self._since_fence = [0, 0]
        self._fences = deque([(wall(), last)])
        self._purged = 0
        self._purging: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._is_closed = False
        self._loop = asyncio.get_running_loop()
        self._prefix, self._end_route = link.route(self._answered)
        link.on_change.append(self._connected)
        sessions.stage = self._barrier
        self._running = self._loop.create_task(self._run(), name=f"log of shard {place.shard}")
        self._running.add_done_callback(self._ended)

    # See LogWriter

    @property
    def floor(self) -> int | None:
        """See `LogWriter`."""
        return self._state.floor

    @property
    def last_received(self) -> Received:
        """See `LogWriter`."""
        return self._flight.received

    @property
    def session(self) -> int:
        """See `LogWriter`."""
        return self._flight.received[0]

    @property
    def seq(self) -> int | None:
        """See `LogWriter`."""
        return self._flight.received[1]

    @property
    def degraded(self) -> str | None:
        """See `LogWriter`."""
        flight = self._flight
        if flight.fenced is not None:
            return f"the log is somebody else's: {flight.fenced}"
        stalled_s = flight.stalled_s(self._clock())
        if stalled_s < STALL_S:
            return None
        why = "NATS is not connected" if not self._link.is_connected else flight.trouble
        return f"the log in JetStream has taken nothing for {stalled_s:.0f} s: {why or 'it does not answer'}"

    @property
    def waiting(self) -> int:
        """See `LogWriter`."""
        return self._flight.waiting + self._staged_bytes

    @property
    def moves(self) -> int:
        """Never: a stream that is gone ends its writer."""
        return 0

    @property
    def dirty(self) -> bool:
        """Never: servers sync by themselves."""
        return False

    def append(self, name: str, payload: bytes, *, session: int, seq: int | None, at: float) -> Frames:
        """See `LogWriter`."""
        offset, state = self.next_offset, self._state
        prev = self.last_offsets.get(name, state.floor)
        header = self._encode_header(offset, prev, session, seq, at)
        known = self._names.get(name) or self._learn(name)
        place = self._place
        if len(payload) + message.HEADERS_BYTES <= self._link.max_payload:
            key = (name, place.writer, self.epoch, offset, seq)
            headers = message.record(place.writer, self.epoch, place.shards, offset, prev, session, seq, at)
            self._stage(Item(key, known[1], headers, payload, len(payload) + _OVERHEAD))
        else:
            self._stage(self._lost(name, len(payload), offset, session, seq))
        self.next_offset = offset + 1
        self.last_offsets[name] = offset
        if seq is not None:
            self._pending = self._staged[-1].received = (session, seq)
        return known[0], header, payload

    def _lost(self, name: str, size: int, offset: int, session: int, seq: int | None) -> Item:
        """Return what takes an event's place for which the server has no room: its offset is a hole then."""
        log.error(
            "shard %d: a %s of %d bytes isn't in the log, since NATS takes %d: raise its max_payload to 8MB",
            *(self._place.shard, name, size, self._link.max_payload),
        )
        place = self._place
        headers = message.mark(place.writer, self.epoch, offset + 1, session, seq, name)
        key = (names.MARK, place.writer, self.epoch, offset + 1, seq)
        return Item(key, place.subject(names.MARK), headers, b"", _OVERHEAD)

    def _learn(self, name: str) -> tuple[bytes, str]:
        if _NAME.fullmatch(name) is None:
            raise LogError(f"not an event name that a topic can carry: {quoted(name)}")
        if name not in self.last_offsets:
            for forgotten in self._state.make_room():
                self._names.pop(forgotten, None)
        self._names[name] = known = (topic(name, self._place.shard), self._place.subject(name))
        return known

    def mark(self, session: int, seq: int, at: float) -> None:  # noqa: ARG002 - the server notes when
        """See `LogWriter`."""
        place = self._place
        headers = message.mark(place.writer, self.epoch, self.next_offset, session, seq)
        key = (names.MARK, place.writer, self.epoch, self.next_offset, seq)
        received = self._pending = (session, seq)
        self._stage(Item(key, place.subject(names.MARK), headers, b"", _OVERHEAD, received))

    def flush(self, then: Callable[[], None] | None = None) -> None:
        """Send all that is staged; `then` is called when JetStream has it."""
        now, flight = self._clock(), self._flight
        for item in self._staged:
            flight.stage(item, now)
        self._staged.clear()
        self._staged_bytes = 0
        records, size = self._since_fence
        if records >= FENCE_RECORDS or size >= self._fence_bytes:
            flight.stage(self._fence(), now)
        if then is not None and not flight.after(then):
            then()
        self._wake.set()

    def sync(self) -> None:
        """Nothing to do: see `dirty`."""

    def tidy(self, now: float) -> None:
        """Write a fence if the last is old, and let go of what has expired, at Unix second `now`."""
        self.flush()
        if self._since_fence[0] and now - self._fences[-1][0] >= self._fence_s:
            self._flight.stage(self._fence(), self._clock())
            self._wake.set()
        while len(self._fences) > 1 and self._fences[1][0] <= now - self._retention_age_s:
            self._fences.popleft()
        at, expired = self._fences[0]
        is_due = at <= now - self._retention_age_s and expired > self._purged
        if is_due and (self._purging is None or self._purging.done()):
            self._purging = self._loop.create_task(self._purge(expired))

    async def finish(self) -> None:
        """See `LogWriter`; then tell whoever comes next that nothing of ours is on its way any more."""
        try:
            async with asyncio.timeout(FINISH_S):
                await self._settled()
                if self._flight.fenced is None:
                    self._flight.stage(self._fence(Kind.CLOSED), self._clock())
                    await self._settled()
        except TimeoutError:
            log.warning("shard %d: not all of it is in the log: %s", self._place.shard, self.degraded)

    async def _settled(self) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        self.flush(partial(done.set_result, None))
        await asyncio.wait([done, self._running], return_when=asyncio.FIRST_COMPLETED)

    def close(self) -> None:
        """See `LogWriter`. What isn't in the log by now may or may not get there."""
        if self._is_closed:
            return
        self._is_closed = True
        self._running.cancel()
        if self._purging is not None:
            self._purging.cancel()
        self._end_route()
        self._link.on_change.remove(self._connected)

    # The pipeline

    def _stage(self, item: Item) -> None:
        self._staged.append(item)
        self._staged_bytes += item.size
        self._since_fence[0] += 1
        self._since_fence[1] += item.size

    def _barrier(self, item: Item) -> None:
        """Have a session put behind all that is staged, and before all that comes."""
        self._staged.append(item)
        self._staged_bytes += item.size
        self.flush()

    def _fence(self, kind: Kind = Kind.FENCE) -> Item:
        place, (session, seq) = self._place, self._pending
        state = replace(self._state, next_offset=self.next_offset, session=session, seq=seq)
        headers = message.fence(kind, place.writer, state, place.host, place.token)
        data = message.encode_state(state, self._begins)
        key = (names.FENCE, place.writer, self.epoch, self.next_offset, None)
        item = Item(key, place.subject(names.FENCE), headers, data, len(data) + _OVERHEAD)
        item.thens.append(partial(self._fence_counts, item, self._wall()))
        self._since_fence = [0, 0]
        return item

    def _fence_counts(self, item: Item, at: float) -> None:
        self._fences.append((at, item.sequence))

    async def _run(self) -> None:
        while True:
            effect = self._flight.next(self._clock())
            match effect:
                case Publish():
                    await self._publish(effect)
                case Perform():
                    await self._perform(effect)
                case Compare():
                    await self._compare(effect)
                case None:
                    if self._flight.fenced is not None:
                        break
                    await self._rest()
                case _:
                    assert_never(effect)
        self._fenced(f"the log of shard {self._place.shard} is somebody else's: {self._flight.fenced}")

    def _ended(self, running: asyncio.Task[None]) -> None:
        if not running.cancelled() and (error := running.exception()) is not None:
            self._loop.call_exception_handler({"message": "a log's writer ended", "exception": error})

    async def _rest(self) -> None:
        due = self._flight.due
        timer = None
        if due is not None:
            timer = self._loop.call_later(max(0.0, due - self._clock()) + 0.001, self._wake.set)
        await self._wake.wait()
        self._wake.clear()
        if timer is not None:
            timer.cancel()

    async def _publish(self, effect: Publish) -> None:
        item = effect.item
        item.headers["Nats-Expected-Last-Sequence"] = str(effect.after)
        reply = f"{self._prefix}{effect.attempt}.{effect.number}"
        try:
            await self._link.publish(item.subject, item.data, reply=reply, headers=item.headers)
        except LogError as error:
            self._flight.failed(str(error), self._clock())

    async def _perform(self, effect: Perform) -> None:
        try:
            await self._sessions.put(effect.item)
        except OvertakenError as error:
            self._flight.overtaken(str(error))
        except LogError as error:
            self._flight.failed(str(error), self._clock())
        else:
            self._call(self._flight.performed(self._clock()))

    async def _compare(self, effect: Compare) -> None:
        place = self._place
        try:
            last = (await stream.ends(self._link, place.stream)).last
            upto = min(last, effect.after + effect.most)
            found = await stream.stretch(self._link, place.stream, effect.after + 1, upto)
        except LogError as error:
            self._flight.failed(str(error), self._clock())
            return
        keys = [None if each is None else each.key for each in found]
        self._call(self._flight.compared(last, keys, self._clock()))

    def _answered(self, rest: str, answer: Msg) -> None:
        attempt, _, number = rest.partition(".")
        result = outcome(answer.headers, answer.data)
        now, flight = self._clock(), self._flight
        if isinstance(result, int):
            self._call(flight.acked(int(attempt), int(number), result, now))
        else:
            flight.refused(int(attempt), int(number), result, now)
        self._wake.set()

    def _connected(self, is_connected: bool) -> None:
        self._flight.connected(is_connected, self._clock())
        self._wake.set()

    @staticmethod
    def _call(thens: list[Callable[[], None]]) -> None:
        for each in thens:
            each()

    async def _purge(self, sequence: int) -> None:
        try:
            await self._link.api(f"STREAM.PURGE.{self._place.stream}", {"seq": sequence})
        except LogError as error:
            log.warning("shard %d: what has expired is still in the log: %s", self._place.shard, error)
        else:
            self._purged = sequence
