"""Reads a shard's log, also while its writer appends (does); nothing here needs the lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gwcluster.errors import LogError
from gwcluster.log.filling import Filling, Passed, Step
from gwcluster.log.page import Expired, Hole, NoLog, Page, Record
from gwcluster.log.segments import MAX_OFFSET, segment_paths
from gwcluster.log.survey import Survey, following_offset

LOOK_BYTES: Final = 8 << 20
"""A question ends behind so much that was read, so that none takes long; a little more where it has to."""

_ALL: Final = 1000
_ALL_BYTES: Final = 1 << 20


class Reader:
    """Looks into the log in `folder`. Every answer is as fresh as the question; no file is kept open.

    It remembers, sparsely, where in the segments the offsets are. One thread at a time uses it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._surveys: dict[int, Survey] = {}

    @property
    def epoch(self) -> str:
        """Identity of the log.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        return self._beginning(self._list())[0]

    @property
    def oldest(self) -> int:
        """Oldest offset that is still here: everything before it has expired.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        listed = self._list()
        return self._oldest(listed, self._beginning(listed)[0])

    @property
    def last(self) -> int | None:
        """Offset of the last event or hole, or None when there was none yet.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        listed = self._list()
        return self._newest(listed, self._beginning(listed)[0])

    def records(self, after: int | None = None) -> Iterator[Record]:
        """Iterate over the events after offset `after`, or over all, up to what is written by now.

        Offsets that are not in the log are left out; `entries` tells them.

        Raises:
            LogError: there is no log, or the disk can't read it.
        """
        return (entry for entry in self.entries(after) if isinstance(entry, Record))

    def entries(self, after: int | None = None) -> Iterator[Record | Hole]:
        """Iterate like `records`, and say in its place which offsets are not in the log.

        With `after`, expired offsets behind it are a hole as well. A record that fails its check, or stands
        where it doesn't belong, is never given out.

        Raises:
            LogError: there is no log, the disk can't read it, or it starts anew meanwhile.
        """
        epoch, end, position = None, None, 0 if after is None else after + 1
        while True:
            try:
                page = self.read(after, names=None, limit=_ALL, max_bytes=_ALL_BYTES)
            except Expired as expired:
                yield Hole(position, expired.oldest - 1)
                after, position = expired.oldest - 1, expired.oldest
                continue
            if epoch is None:
                epoch, end = page.epoch, page.newest
            if page.epoch != epoch:
                raise LogError(f"the log in {self._folder} has started anew")
            yield from _merged(page)
            if end is None or page.last is None or page.last >= end:
                return
            after, position = page.last, page.last + 1
            if not page.more:  # it has become shorter meanwhile, as no writer makes it
                yield Hole(position, end)
                return

    def read(self, after: int | None, *, names: frozenset[str] | None, limit: int, max_bytes: int) -> Page:
        """Return the events after an offset, and which offsets are missing among them.

        Args:
            after: None: from the oldest that is left.
            names: only events of these; None: all.
            limit: most events.
            max_bytes: most bytes of their frames; a single event may have more.

        Raises:
            Expired: what would come next has expired.
            LogError: there is no log, or the disk can't read it.
        """
        listed = self._list()
        epoch, shard = self._beginning(listed)
        oldest, newest = self._oldest(listed, epoch), self._newest(listed, epoch)
        if after is not None and after + 1 < oldest:
            raise Expired(after, oldest)
        filling = Filling(oldest if after is None else after + 1, limit, max_bytes, len(f".{shard}."))
        wanted = None if names is None else frozenset(name.encode() for name in names)
        if newest is not None and filling.position <= newest and limit > 0:
            for step in self._steps(listed, epoch, filling.position, wanted):
                if not filling.take(step):
                    break
        return filling.page(epoch, oldest, newest)

    def _steps(
        self, listed: list[Survey], epoch: str, position: int, names: frozenset[bytes] | None
    ) -> Iterator[Step]:
        """Iterate over what there is from offset `position` on, but end behind `LOOK_BYTES`."""
        spent = 0
        at = self._holding(listed, epoch, position)
        while at is not None:
            survey, following = listed[at], self._following(listed, epoch, at)
            upper = MAX_OFFSET if following is None else listed[following].first
            if position < survey.first:
                yield Hole(position, survey.first - 1)
                position = survey.first
            survey.indexed = survey.served = 0
            with survey.opened() as there:
                for step in survey.steps(epoch, upper, position, names) if there else ():
                    position = following_offset(step)
                    yield step
                    if isinstance(step, Passed) and spent + survey.served >= LOOK_BYTES:
                        return
            spent += max(survey.indexed, survey.served)
            if following is not None and position < upper:
                yield Hole(position, upper - 1)
                position = upper
            at = following if spent < LOOK_BYTES else None

    # The folder

    def _list(self) -> list[Survey]:
        """Return the segments, oldest first.

        One that another follows in this list is complete: it is listed before any of them is read.
        """
        try:
            paths = segment_paths(self._folder)
        except FileNotFoundError:
            paths = []
        except OSError as error:
            self._surveys.clear()
            raise LogError(f"can't read the log in {self._folder}: {error}") from error
        if not paths:
            self._surveys.clear()
            raise NoLog(f"there is no log in {self._folder}")
        known = self._surveys
        self._surveys = {first: known.get(first) or Survey(first, path) for first, path in paths}
        return list(self._surveys.values())

    def _beginning(self, listed: list[Survey]) -> tuple[str, int]:
        """Return the log's epoch and shard."""
        for survey in reversed(listed):
            with survey.opened():
                state = survey.state
            if state is not None and state.next_offset == survey.first:
                return state.epoch, state.shard
        raise LogError(f"there is no log in {self._folder}")

    def _oldest(self, listed: list[Survey], epoch: str) -> int:
        at = self._following(listed, epoch, -1)
        if at is None:
            raise LogError(f"the log in {self._folder} is being removed")
        return listed[at].first

    def _newest(self, listed: list[Survey], epoch: str) -> int | None:
        for survey in reversed(listed):
            with survey.opened() as there:
                if there and survey.belongs(epoch):
                    following = survey.index(epoch, MAX_OFFSET).next
                    return following - 1 if following > 0 else None
        raise LogError(f"the log in {self._folder} is being removed")

    def _holding(self, listed: list[Survey], epoch: str, position: int) -> int | None:
        """Return which segment is the last that begins at or before an offset, or else the first."""
        for at in reversed(range(len(listed))):
            if listed[at].first <= position and _belongs(listed[at], epoch):
                return at
        return self._following(listed, epoch, -1)

    def _following(self, listed: list[Survey], epoch: str, at: int) -> int | None:
        return next((i for i in range(at + 1, len(listed)) if _belongs(listed[i], epoch)), None)


def _belongs(survey: Survey, epoch: str) -> bool:
    with survey.opened() as there:
        return there and survey.belongs(epoch)


def _merged(page: Page) -> Iterator[Record | Hole]:
    """Iterate over a page's records and holes in the order of their offsets."""
    holes = deque(Hole(first, last) for first, last in page.holes)
    for record in page.records:
        while holes and holes[0].first < record.offset:
            yield holes.popleft()
        yield record
    yield from holes
