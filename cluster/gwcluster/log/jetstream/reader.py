"""Reads a shard's log in JetStream (does), also while its writer appends."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from gwcluster.errors import LogError
from gwcluster.log.filling import Filling, Passed
from gwcluster.log.jetstream import message, names, stream
from gwcluster.log.jetstream.answers import NO_STREAM, ApiError
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.message import Kind, Stored
from gwcluster.log.page import Expired, Hole, NoLog, Page, Record
from gwcluster.wire.events import header_encoder

LOOK_BYTES: Final = 8 << 20
"""A question ends behind so much that was looked at, so that none takes long."""

READ_S: Final = 15.0
_BATCH: Final = 500
_BATCH_BYTES: Final = 1 << 20
_NEAR: Final = 64
_MARGIN: Final = 80
_PROBES: Final = 12
_MAX_HINTS: Final = 64
_AGAIN_S: Final = 0.05
_TRIES: Final = 4

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Span:
    """What of the stream is the log at this moment.

    Attributes:
        first, last: sequences of its first and last message.
        oldest, next: the offset at its beginning, and the one behind its end.
    """

    epoch: str
    shards: int
    first: int
    last: int
    oldest: int
    next: int


class Reader:
    """Looks into one shard's log. Every answer is as fresh as the question."""

    def __init__(self, link: Link, name: str, shard: int) -> None:
        self._link = link
        self._shard = shard
        self._stream = names.stream(name, shard)
        self._all = names.subjects(name, shard)
        self._fence = names.subject(name, shard, names.FENCE)
        self._hints: dict[int, int] = {}
        self._epoch = ""

    async def epoch(self) -> str:
        """Return the identity of the log.

        Raises:
            LogError: there is no log, or JetStream doesn't answer.
        """
        return (await self._span()).epoch

    async def read(
        self, after: int | None, *, names: frozenset[str] | None, limit: int, max_bytes: int
    ) -> Page:
        """See `LogReader`."""
        span = await self._span()
        if after is not None and after + 1 < span.oldest:
            raise Expired(after, span.oldest)
        position = span.oldest if after is None else after + 1
        filling = Filling(position, limit, max_bytes, len(f".{self._shard}."))
        if position < span.next and limit > 0:
            await self._fill(filling, span, names)
        return filling.page(span.epoch, span.oldest, span.next - 1 if span.next > 0 else None)

    async def _span(self) -> _Span:
        try:
            tip = await stream.last_of(self._link, self._stream, self._all)
            fence = await stream.last_of(self._link, self._stream, self._fence)
        except ApiError as error:
            if error.code == NO_STREAM:
                raise NoLog(f"there is no stream {self._stream}") from error
            raise
        if tip is None or fence is None:
            raise NoLog(f"there is no log in {self._stream}")
        last, said = message.parse(*tip), message.parse(*fence)
        decoded = message.decode_state(said, self._shard)
        if decoded is None:
            raise LogError(f"the last fence of {self._stream} can't be read")
        if last.sequence < said.sequence or said.kind is Kind.TAKING or last.writer != said.writer:
            last = said  # behind it nothing counts yet
        state, begins = decoded
        found = await stream.first_after(self._link, self._stream, self._all, begins)
        first = said if found is None else stream.stored(found)
        if first.sequence > last.sequence or first.epoch != said.epoch:
            first = said
        if said.epoch != self._epoch:
            self._epoch = said.epoch
            self._hints.clear()
        return _Span(said.epoch, state.shards, first.sequence, last.sequence, first.offset, last.next_offset)

    async def _fill(self, filling: Filling, span: _Span, wanted: frozenset[str] | None) -> None:
        at = self._hints.get(filling.position) or await self._place(filling.position, span)
        steps = _Steps(filling, span, self._shard, wanted)
        batch = _BATCH if wanted is not None else min(_BATCH, filling.limit + _MARGIN)
        looked, tries = 0, 0
        while at <= span.last and looked < LOOK_BYTES:
            ask = {"seq": max(at, span.first), "batch": batch, "max_bytes": _BATCH_BYTES}
            messages = await stream.direct(self._link, self._stream, ask)
            if not messages:  # this replica may not be so far yet
                tries += 1
                if tries == _TRIES:
                    return
                await asyncio.sleep(_AGAIN_S)
                continue
            for each in messages:
                found = stream.stored(each)
                if found.sequence > span.last:
                    at = found.sequence
                    break
                if not steps.take(found):
                    self._hint(filling.position, steps.resume_at)
                    return
                looked += len(each.data) + message.HEADERS_BYTES
                at = found.sequence + 1
        if at > span.last:
            steps.pass_to(span.next)
        self._hint(filling.position, at)

    def _hint(self, position: int, sequence: int) -> None:
        """Remember from where to look for an offset: most questions go on where the last ended."""
        self._hints.pop(position, None)
        self._hints[position] = sequence
        if len(self._hints) > _MAX_HINTS:
            self._hints.pop(next(iter(self._hints)))

    async def _place(self, position: int, span: _Span) -> int:
        """Return a sequence not behind that of an offset's record, and not much before it.

        Each record takes a sequence and an offset, each other message a sequence: so distances between
        sequences are never shorter than those between offsets.
        """
        low, low_offset, high, high_offset = span.first, span.oldest, span.last, span.next
        for turn in range(_PROBES):
            least = low + position - low_offset
            most = high - (high_offset - position) + 1
            if most - least <= _NEAR:
                return min(max(least, low), high)
            part = 0.5 if turn % 3 == 2 else (position - low_offset) / max(1, high_offset - low_offset)
            guess = min(max(least + int((most - least) * part) - _NEAR // 4, low + 1), high)
            found = await stream.first_after(self._link, self._stream, self._all, guess)
            probe = None if found is None else stream.stored(found)
            if probe is None or probe.sequence >= high:
                high = guess  # from there on nothing stands before it
            elif probe.kind in {Kind.FILL, Kind.FOREIGN}:
                return low
            elif probe.offset <= position:
                low, low_offset = probe.sequence, probe.offset
            else:
                high, high_offset = probe.sequence, probe.offset
        return low


class _Steps:
    """Makes steps of a stream's messages."""

    def __init__(self, filling: Filling, span: _Span, shard: int, wanted: frozenset[str] | None) -> None:
        self.resume_at = 0
        self._filling = filling
        self._epoch = span.epoch
        self._wanted = wanted
        self._encode = header_encoder(shard, span.shards, span.epoch)
        self._is_void = False

    def take(self, found: Stored) -> bool:
        """Take the next message; say whether another may come. `resume_at`: where to go on if not."""
        filling = self._filling
        self.resume_at = found.sequence
        if found.is_fence:
            self._is_void = found.kind is Kind.TAKING
        elif self._is_void or found.kind in {Kind.FILL, Kind.FOREIGN}:
            return True
        if found.epoch != self._epoch:
            return True
        if found.kind is not Kind.RECORD:
            self.pass_to(found.offset)
            return True
        if found.offset < filling.position:
            return True
        self.pass_to(found.offset)
        if self._wanted is not None and found.token not in self._wanted:
            filling.take(Passed(found.offset + 1))
            return True
        more = filling.take(self._record(found))
        if filling.position > found.offset:
            self.resume_at += 1
        return more

    def pass_to(self, offset: int) -> None:
        """Nothing is there up to an offset."""
        if offset > self._filling.position:
            self._filling.take(Hole(self._filling.position, offset - 1))

    def _record(self, found: Stored) -> Record:
        header = self._encode(found.offset, found.prev, found.session, found.seq, found.at)
        return Record(found.token, header, found.data, found.offset, found.session, found.seq, found.at)


class BlockingReader:
    """A `LogReader` for another thread than that of the link's loop."""

    def __init__(self, reader: Reader, loop: asyncio.AbstractEventLoop) -> None:
        self._reader = reader
        self._loop = loop

    @property
    def epoch(self) -> str:
        """See `LogReader`."""
        return self._waited(self._reader.epoch())

    def read(self, after: int | None, *, names: frozenset[str] | None, limit: int, max_bytes: int) -> Page:
        """See `LogReader`."""
        return self._waited(self._reader.read(after, names=names, limit=limit, max_bytes=max_bytes))

    def _waited(self, asking: Coroutine[Any, Any, _Answer]) -> _Answer:
        answer = asyncio.run_coroutine_threadsafe(asking, self._loop)
        try:
            return answer.result(READ_S)
        except concurrent.futures.TimeoutError:
            answer.cancel()
            raise LogError(f"JetStream hasn't answered for {READ_S:.0f} s") from None
