"""Takes a shard's log over from whoever wrote it (does).

A writer has many messages on its way, each with the sequence that has to stand before it. When it dies, they
may still arrive, and one that arrives late fits wherever the stream has that sequence by then: behind
something of its successor's, say. So a successor first writes a fence that says from where on nothing counts
(`TAKING`), then as many messages without meaning as the other may have had on its way, so that all of those
have the wrong place, then removes what came between, and then writes the fence behind which it goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from gwcluster.errors import LogError
from gwcluster.log.jetstream import message, names, stream
from gwcluster.log.jetstream.answers import ApiError, NoAnswer, outcome, status
from gwcluster.log.jetstream.flight import WINDOW
from gwcluster.log.jetstream.light import Msg
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.message import Kind, Stored
from gwcluster.log.jetstream.sessions import OvertakenError, Sessions
from gwcluster.log.jetstream.writer import Place, Writer
from gwcluster.log.lock import LogBusy
from gwcluster.log.state import State
from gwcluster.nats_login import NatsLogin

TAKE_S: Final = 30.0
"""Longer than a change of JetStream's leader takes."""

_AGAIN_S: Final = 0.1
_TRIES: Final = 10
_FILL_S: Final = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Taking:
    """What a worker's job says of its log.

    Attributes:
        nats: `name` of the cluster; `host` and `token` of the lease; `login`: the fields of a `NatsLogin`;
            `replicas`: how many servers are to have the log, 3 if it is not said; 1 if they are no cluster.
        retention_bytes, retention_age_s: bounds of the log.
    """

    nats: dict[str, Any]
    shard: int
    shards: int
    retention_bytes: int
    retention_age_s: float

    def place(self, writer: str) -> Place:
        """Return whose log it is; `writer`: 16 hex digits that no other opening has.

        Raises:
            LogError: NATS can't carry the cluster's name.
        """
        nats = self.nats
        name = names.checked(nats["name"])
        return Place(name, self.shard, self.shards, nats["host"], nats["token"], writer)


@dataclass(frozen=True, slots=True)
class Log:
    """A shard's log that is ours."""

    writer: Writer
    sessions: Sessions
    leave: Callable[[], Awaitable[None]]


class RacedError(LogError):
    """Somebody else wrote meanwhile."""


async def take(
    taking: Taking,
    *,
    fenced: Callable[[str], None],
    new_id: Callable[[], str],
    clock: Callable[[], float],
    wall: Callable[[], float],
) -> Log:
    """Connect to NATS and take a shard's log over.

    Raises:
        LogBusy: somebody else takes it over or writes to it.
        LogError: NATS refuses us, or doesn't answer.
    """
    place = taking.place(new_id())
    login = NatsLogin.of(taking.nats["login"])
    link = await Link.connect(login, name=f"gwcluster {place.name} {place.shard}")
    try:
        return await take_with(
            link, taking, place, fenced=fenced, new_id=new_id, clock=clock, wall=wall, leave=link.close
        )
    except BaseException:
        await link.close()
        raise


async def take_with(
    link: Link,
    taking: Taking,
    place: Place,
    *,
    fenced: Callable[[str], None],
    new_id: Callable[[], str],
    clock: Callable[[], float],
    wall: Callable[[], float],
    leave: Callable[[], Awaitable[None]],
    take_s: float = TAKE_S,
) -> Log:
    """Take a shard's log over, on a connection that is there; see `take`."""
    deadline = clock() + take_s
    sessions, state, begins, last = await _taken(link, taking, place, new_id, lambda: deadline - clock())
    writer = Writer(
        link,
        place,
        sessions,
        state,
        begins,
        last,
        retention_bytes=taking.retention_bytes,
        retention_age_s=taking.retention_age_s,
        clock=clock,
        wall=wall,
        fenced=fenced,
    )
    return Log(writer, sessions, leave)


async def _taken(
    link: Link, taking: Taking, place: Place, new_id: Callable[[], str], left_s: Callable[[], float]
) -> tuple[Sessions, State, int, int]:
    wait_s = _AGAIN_S
    while True:
        try:
            return await Opening(link, taking, place, new_id).take()
        except RacedError as error:
            if left_s() <= wait_s:
                raise LogBusy(place.stream) from error
            log.info("shard %d: %s; trying again", place.shard, error)
        except NoAnswer:
            if left_s() <= wait_s:
                raise
        await asyncio.sleep(wait_s)
        wait_s = min(2.0, 2 * wait_s)


class Opening:
    """One attempt to take a log over."""

    def __init__(self, link: Link, taking: Taking, place: Place, new_id: Callable[[], str]) -> None:
        self._link = link
        self._taking = taking
        self._place = place
        self._new_id = new_id
        self._voids: list[int] = []

    async def take(self) -> tuple[Sessions, State, int, int]:
        """Return the sessions, where the log stands, where its epoch begins, and the sequence of our fence.

        Raises:
            LogError: it couldn't be taken over.
        """
        link, place, taking = self._link, self._place, self._taking
        replicas = taking.nats.get("replicas") or stream.REPLICAS
        ends = await stream.keep_log(link, place.name, place.shard, taking.retention_bytes, replicas)
        await stream.keep_state(link, place.name, replicas)
        state, begins, is_over = await self._recovered(ends)
        if state is None or state.shards != place.shards:
            state, begins = State(self._new_id(), place.shard, place.shards, ""), ends.last + 1
        last = ends.last
        if not is_over:
            last = await self._outrun(await self._fence(Kind.TAKING, state, begins, last), state.epoch)
            await self._remove_voids()
        sessions = Sessions(link, place.name, place.shard)
        try:
            await sessions.take()
        except OvertakenError as error:
            raise RacedError(str(error)) from error
        last = await self._fence(Kind.FENCE, state, begins, last)
        await self._tidy(ends, begins)
        return sessions, state, begins, last

    async def _recovered(self, ends: stream.Ends) -> tuple[State | None, int, bool]:
        """Return where the log stands, where its epoch begins, and whether nothing is on its way."""
        if ends.last == 0:
            return None, 0, True
        found = await stream.last_of(self._link, self._place.stream, self._place.subject(names.FENCE))
        fence = None if found is None else message.parse(*found)
        decoded = (
            message.decode_state(fence, self._place.shard) if fence is not None and fence.is_fence else None
        )
        if fence is None or decoded is None:
            log.warning(
                "shard %d: no fence in %s: the log starts anew", self._place.shard, self._place.stream
            )
            return None, 0, False
        state, begins = decoded
        if fence.sequence > ends.last:
            raise RacedError(f"somebody else takes over the log of shard {self._place.shard}")
        if fence.kind is Kind.CLOSED and fence.sequence == ends.last:
            return state, begins, True
        following = await stream.stretch(self._link, self._place.stream, fence.sequence + 1, ends.last)
        self._voids = follow(state, fence, following)
        return state, begins, False

    async def _fence(self, kind: Kind, state: State, begins: int, after: int) -> int:
        place = self._place
        headers = message.fence(kind, place.writer, state, place.host, place.token)
        headers["Nats-Expected-Last-Sequence"] = str(after)
        data = message.encode_state(state, begins)
        got = await self._link.request(place.subject(names.FENCE), data, headers=headers)
        result = outcome(got.headers, got.data)
        if status(got.headers) is not None:
            raise NoAnswer(f"the log of shard {place.shard} can't be taken over: {result}")
        if isinstance(result, str):
            raise RacedError(f"the log of shard {place.shard} is being written: {result}")
        return result

    async def _outrun(self, fence: int, epoch: str) -> int:
        """Write until nothing of another's can have the right place; return the stream's last sequence."""
        place = self._place
        for _ in range(_TRIES):
            last = (await stream.ends(self._link, place.stream)).last
            between = await stream.stretch(self._link, place.stream, fence + 1, last)
            for each in between:
                if each is not None and each.is_fence:
                    raise RacedError(f"somebody else takes over the log of shard {place.shard}")
            if last >= fence + WINDOW:
                self._voids += [each.sequence for each in between if each and each.kind is not Kind.FILL]
                return last
            await self._fill(epoch, last, fence + WINDOW)
        raise RacedError(f"the log of shard {place.shard} is being written")

    async def _fill(self, epoch: str, last: int, upto: int) -> None:
        place, left = self._place, upto - last
        done = asyncio.Event()

        def answered(_: str, answer: Msg) -> None:
            nonlocal left
            left -= 1
            if left == 0 or isinstance(outcome(answer.headers, answer.data), str):
                done.set()

        prefix, end = self._link.route(answered)
        try:
            for after in range(last, upto):
                headers = message.fill(place.writer, epoch, 0)
                headers["Nats-Expected-Last-Sequence"] = str(after)
                await self._link.publish(place.subject(names.FILL), b"", reply=f"{prefix}a", headers=headers)
            async with asyncio.timeout(_FILL_S):
                await done.wait()
        except TimeoutError:
            pass  # what got there is seen by whoever asks
        finally:
            end()

    async def _remove_voids(self) -> None:
        if self._voids:
            said = "shard %d: %d messages that its last owner had on their way came too late and don't count"
            log.info(said, self._place.shard, len(self._voids))
        for sequence in self._voids:
            try:
                body = {"seq": sequence, "no_erase": True}
                await self._link.api(f"STREAM.MSG.DELETE.{self._place.stream}", body)
            except ApiError as error:
                log.debug("shard %d: %s", self._place.shard, error)  # it is gone already

    async def _tidy(self, ends: stream.Ends, begins: int) -> None:
        """Remove what has no meaning any more; the next one does if this can't be done now."""
        try:
            what = f"STREAM.PURGE.{self._place.stream}"
            await self._link.api(what, {"filter": self._place.subject(names.FILL)})
            if ends.first < begins:
                await self._link.api(what, {"seq": begins})
        except LogError as error:
            log.info("shard %d: its stream isn't tidied: %s", self._place.shard, error)


def follow(state: State, fence: Stored, following: list[Stored | None]) -> list[int]:
    """Move `state` on by what follows a fence; return the sequences of what doesn't count."""
    for at, each in enumerate(following):
        if each is not None and each.writer != fence.writer:
            return [left.sequence for left in following[at:] if left is not None]
        if each is None:
            continue
        if each.kind is Kind.RECORD:
            if each.offset < state.next_offset:
                return [left.sequence for left in following[at:] if left is not None]
            if each.offset > state.next_offset:
                state.skip_to(each.offset)
            _learn(state, each.token, each.offset)
            state.next_offset = each.offset + 1
        elif each.kind is Kind.MARK and each.lost is not None:
            _learn(state, each.lost, each.offset - 1)
            state.next_offset = max(state.next_offset, each.offset)
        if each.seq is not None:
            state.session, state.seq = each.session, each.seq
    return []


def _learn(state: State, name: str, offset: int) -> None:
    if name not in state.last_offsets:
        state.make_room()
    state.last_offsets[name] = offset
