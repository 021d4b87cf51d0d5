"""The segments of a log, from the oldest to the one that is written to (does)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from gwcluster.errors import LogError
from gwcluster.log.lock import LogBusy, take_folder
from gwcluster.log.retention import PARTS, count_expired, segment_bytes
from gwcluster.log.segments import Segment, create_segment, list_segments
from gwcluster.log.state import State, encode_start
from gwcluster.log.tail import NO_ROOM, Tail

_log = logging.getLogger(__name__)


class Chain:
    """Begins segments and removes expired ones.

    Attributes:
        tail: the end of the newest segment.
        full_at: at how many bytes the newest segment should be followed by another.
    """

    def __init__(
        self,
        folder: Path,
        tail: Tail,
        segments: list[Segment],
        *,
        retention_bytes: int,
        retention_age_s: float,
        wall: Callable[[], float],
    ) -> None:
        self.tail = tail
        self._folder = folder
        self._segments = segments
        self._segment_bytes = segment_bytes(retention_bytes)
        # A segment ends after the write that fills it: the slack lets as many stay as were planned.
        self._full_bytes = self._segment_bytes - self._segment_bytes // 32
        self._closed_bytes = max(0, retention_bytes - self._segment_bytes)
        self._age_s = retention_age_s
        self._wall = wall
        self.full_at = self._full_bytes

    @property
    def stored_bytes(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self._segments[:-1]) + self.tail.size

    def begin(self, state: State, good_bytes: int | None) -> None:
        """Go on in the newest segment after `good_bytes`, or, when that is None, in a new one.

        Raises:
            OSError: the disk refuses.
        """
        if good_bytes is not None:
            newest = self._segments[-1]
            fd = os.open(newest.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            self.tail.go_on_in(fd, newest.first, good_bytes)
            if good_bytes < newest.size:
                os.ftruncate(fd, good_bytes)
            return
        try:
            self._begin_segment(state)
        except OSError as error:
            # Nothing was synced by this process: what it found must do until its first segment is.
            if error.errno not in NO_ROOM or len(self._segments) < 2:
                raise
            self._segments.pop(0).path.unlink()
            self._begin_segment(state)

    def rotate(self, state: State) -> None:
        """Begin a new segment with `state`, the state of what is written, and let expired ones go."""
        try:
            self._begin_segment(state)
        except OSError as error:
            _log.warning("no new log segment in %s yet: %s", self._folder, error)
            self.full_at = self.tail.size + self._segment_bytes // PARTS
            return
        self.retain(self._wall())

    def settle(self, state: State) -> None:
        """Begin a segment with `state` in the folder that is where the log's folder should be by now.

        Raises:
            LogError: another process writes there, or something else is there.
            OSError: the disk refuses.
        """
        try:
            lock = take_folder(self._folder)
        except LogBusy:
            if (held := self.tail.held(self._folder)) is None:
                raise
            lock = held
        try:
            found = list_segments(self._folder)
            if found and found[-1].first > state.next_offset:
                raise LogError(f"{self._folder} holds another log")
            now = self._wall()
            start = encode_start(state, now)
            fd = create_segment(self._folder, state.next_offset, start)
        except BaseException:
            os.close(lock)
            raise
        path = self._folder / f"{state.next_offset:020d}.log"
        kept = [segment for segment in found if segment.first < state.next_offset]
        self._segments = [*kept, Segment(state.next_offset, path, len(start), now)]
        self.tail.move(lock)
        self.tail.go_on_in(fd, state.next_offset, len(start))
        self.full_at = self._full_bytes

    def is_aged(self, next_offset: int, now: float) -> bool:
        """Whether the newest segment holds events and was begun so long ago that age asks for another."""
        newest = self._segments[-1]
        return next_offset > newest.first and newest.begun_at <= now - self._age_s / PARTS

    def retain(self, now: float) -> None:
        """Remove the segments that are expired at Unix second `now`."""
        expired = count_expired(self._segments, closed_bytes=self._closed_bytes, age_s=self._age_s, now=now)
        while expired > 0 and self.drop_oldest():
            expired -= 1

    def drop_oldest(self) -> bool:
        """Remove the oldest segment, unless a power cut could then leave no other; say whether it went."""
        if len(self._segments) < 2 or self._segments[0].first >= self.tail.durable_first:
            return False
        try:
            self._segments[0].path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("an old log segment can't be removed: %s", error)
            return False
        self._segments.pop(0)
        return True

    def _begin_segment(self, state: State) -> None:
        now = self._wall()
        start = encode_start(state, now)
        fd = create_segment(self._folder, state.next_offset, start)
        if self._segments:
            self._segments[-1].size = self.tail.size or self._segments[-1].size
            if self._segments[-1].first == state.next_offset:
                self._segments.pop()
        path = self._folder / f"{state.next_offset:020d}.log"
        self._segments.append(Segment(state.next_offset, path, len(start), now))
        self.tail.go_on_in(fd, state.next_offset, len(start))
        self.full_at = self._full_bytes
