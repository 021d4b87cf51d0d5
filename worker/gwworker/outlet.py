"""Where events go (does): into the log first, then to the coordinator."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from gwcluster.log.interface import Frames, LogWriter
from gwcluster.wire.control import Job
from gwcluster.wire.events import header_encoder, topic
from gwcluster.wire.notices import BEACON, beacon
from gwworker.bus_link import Fanin
from gwworker.disk import Disk

FLUSH_BYTES: Final = 1 << 20
"""Staged payload bytes at which a batch is written early, so that a burst can't pile up in memory."""


class Outlet:
    """Stages dispatches and notices, writes them in one go, then pushes them.

    Args:
        disk: that of the log.
        wall: Unix seconds.

    Attributes:
        events: dispatches published.
    """

    def __init__(
        self, job: Job, writer: LogWriter, fanin: Fanin, *, disk: Disk, wall: Callable[[], float]
    ) -> None:
        self.events = 0
        self._writer = writer
        self._fanin = fanin
        self._disk = disk
        self._wall = wall
        self._include = None if job.include is None else frozenset(job.include)
        self._exclude = frozenset(job.exclude)
        self._staged: list[Frames] = []
        self._staged_bytes = 0
        self._dropped: tuple[int, int] | None = None
        self._writing = False
        self._thens: deque[list[Frames] | Callable[[], None]] = deque()
        self._when_counted = self._counted
        self._counts = 0
        self._beacon_waits = False
        self._beacon_topic = topic(BEACON, job.shard)
        self._beacon_header = header_encoder(job.shard, job.shards, writer.epoch)

    def dispatch(self, name: str, payload: bytes, session: int, seq: int, at: float) -> None:
        """Stage a dispatch, or note the seq of one that the configuration drops."""
        if name in self._exclude or (self._include is not None and name not in self._include):
            self._dropped = (session, seq)
            return
        self.events += 1
        self._dropped = None
        self._stage(name, payload, session, seq, at)

    def notice(self, name: str, payload: bytes, session: int) -> None:
        """Stage one of our own notices."""
        self._stage(name, payload, session, None, self._wall())

    def _stage(self, name: str, payload: bytes, session: int, seq: int | None, at: float) -> None:
        self._staged.append(self._writer.append(name, payload, session=session, seq=seq, at=at))
        self._staged_bytes += len(payload)
        if self._staged_bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is staged to the log; it is pushed once it counts."""
        staged = self._staged
        if staged:
            self._staged = []
            self._staged_bytes = 0
            self._write(staged)

    def after(self, then: Callable[[], None]) -> None:
        """Write what is staged, and call `then` once all of it counts and is pushed."""
        self.flush()
        if self._writer.waiting:
            self._write(then)
        else:
            then()

    def _write(self, then: list[Frames] | Callable[[], None]) -> None:
        self._thens.append(then)
        self._writing = True
        with self._disk:
            self._writer.flush(self._when_counted)
        self._writing = False
        while self._counts:
            self._counts -= 1
            self._arrived()

    def _counted(self) -> None:
        if self._writing:  # another thread may be standing in for this one until it has left the disk
            self._counts += 1
        else:
            self._arrived()

    def _arrived(self) -> None:
        then = self._thens.popleft()
        if isinstance(then, list):
            self._fanin.push(then)
        else:
            then()

    @property
    def waiting(self) -> int:
        """Bytes that were pushed and that the coordinator hasn't read yet."""
        return self._fanin.waiting

    def mark(self) -> None:
        """Let dropped dispatches count: the log's seq moves to the last of them. At most once a second."""
        if self._dropped is not None:
            session, seq = self._dropped
            self._dropped = None
            self._writer.mark(session, seq, self._wall())
            with self._disk:
                self._writer.flush()

    def tidy(self) -> None:
        """Let the log do what time asks for."""
        with self._disk:
            self._writer.tidy(self._wall())

    def retry(self) -> None:
        """Write again what the disk refused, if it did; at most once a second."""
        if self._writer.degraded is not None:
            with self._disk:
                self._writer.flush()

    def beacon(self, session: int) -> None:
        """Publish the last offset of each name, behind all that is staged; it is no event and not logged.

        While one waits for the log, another would say no more.
        """
        if self._beacon_waits:
            return
        self._beacon_waits = True
        last = max(self._writer.next_offset - 1, 0)
        header = self._beacon_header(last, None, session, None, self._wall())
        payload = beacon(self._writer.last_offsets, self._writer.floor)
        self.after(partial(self._push_beacon, (self._beacon_topic, header, payload)))

    def _push_beacon(self, frames: Frames) -> None:
        self._beacon_waits = False
        self._fanin.push([frames])
