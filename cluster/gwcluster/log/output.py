"""What brings records of a shard's log to the disk (does), and carries on when the disk doesn't take them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gwcluster.errors import LogError
from gwcluster.log.backlog import Backlog
from gwcluster.log.chain import Chain
from gwcluster.log.interface import Received
from gwcluster.log.record import CLOSED, NO_SEQ, Scan, encode, encode_hole
from gwcluster.log.state import State
from gwcluster.log.tail import NO_ROOM

RETRY_AFTER_S: Final = 1.0

_log = logging.getLogger(__name__)


class Output:
    """The end of a log, to which whole records are written. While it can't be, they wait within a bound.

    Args:
        state: of the log; its `last_offsets` know everything that was staged.
        chain: the log's segments.
        wall: Unix seconds.
        backlog_bytes: what is kept in memory while the disk refuses.

    Attributes:
        moves: how often the log had to go on in another folder, since its own was gone.
        last_received: of the last *written* record that carries a seq; 0 and None before the first.
    """

    def __init__(self, state: State, chain: Chain, *, wall: Callable[[], float], backlog_bytes: int) -> None:
        self.moves = 0
        self.last_received: Received = (state.session, state.seq)
        self._state = state
        self._chain = chain
        self._tail = chain.tail
        self._wall = wall
        self._backlog = Backlog(backlog_bytes)
        self._refused_at: float | None = None
        self._strayed_at: float | None = None
        self._stray: Exception | None = None
        self._next_offset = state.next_offset
        self._pending = self.last_received

    @property
    def degraded(self) -> str | None:
        """Why events are missing from the disk at present, or None when all is well."""
        if self._tail.astray:
            return f"the log's folder is gone, and there is no other yet: {self._stray or 'looking'}"
        if self._refused_at is not None:
            return f"the log can't be written: {self._tail.refusal}"
        if self._tail.sync_refusal is not None:
            return f"the log can't be synced: {self._tail.sync_refusal}"
        return None

    @property
    def stored_bytes(self) -> int:
        """Bytes of all segments on the disk."""
        return self._chain.stored_bytes

    @property
    def dirty(self) -> bool:
        """Whether `sync` has something to do."""
        return self._tail.dirty

    def write(self, data: bytes, received: Received, next_offset: int) -> None:
        """Write records. Never raises for the disk's sake: `degraded` and `last_received` tell.

        While the disk refuses, they are kept in memory, the oldest are forgotten beyond the bound, and a call
        tries again at most once a second.

        Args:
            data: whole records, of any number.
            received: up to where they bring the log.
            next_offset: what comes after them.
        """
        self._pending, self._next_offset = received, next_offset
        if self._tail.astray:
            self._keep(data)
            data = b""
            self._settle()
        elif self._strayed_at is not None:
            self._settled()
        if not data:
            if self._refused_at is not None and self._is_retry_due(self._refused_at):
                self._drain()
            return
        if self._refused_at is None:
            done = self._tail.put(data)
            if done == len(data):
                self.last_received = received
                if self._tail.size >= self._chain.full_at:
                    self._rotate()
                return
            self._take_seq(data[:done])
            self._backlog.keep(data[done:])
            self._drain()
        else:
            self._backlog.keep(data)
            if self._is_retry_due(self._refused_at):
                self._drain()

    def sync(self) -> None:
        """Return when all that was flushed before this call is on the disk. May run in another thread.

        Never raises for the disk's sake: `degraded` tells.
        """
        self._tail.sync()

    def tidy(self, now: float) -> None:
        """Do at Unix second `now` what time asks for."""
        if self._refused_at is None and not self._tail.astray and self._chain.is_aged(self._next_offset, now):
            self._rotate()
        self._chain.retain(now)

    def close(self) -> None:
        """Write what waits, if the disk takes it now, sync, and let go of the log."""
        if self._refused_at is not None:
            self._drain()
        if self._refused_at is None:
            self._tail.put(b"".join(encode(CLOSED, b"", b"", b"", 0, self._next_offset, None, self._wall())))
        self._tail.sync()
        self._tail.close()

    def _is_retry_due(self, refused_at: float) -> bool:
        # abs: a wall clock that is set back must not stop the retries.
        return abs(self._wall() - refused_at) >= RETRY_AFTER_S

    def _drain(self) -> None:
        """Write what was refused; if there is no room, once more without the oldest segment."""
        drained = self._put_backlog()
        if not drained:
            self._tail.look_again()
        refusal = self._tail.refusal
        if refusal is not None and refusal.errno in NO_ROOM and self._chain.drop_oldest():
            drained = self._put_backlog()
        # Before anything of it is published: a successor must not give the same offsets away again.
        self._tail.flag(unrecorded=not drained)
        if drained:
            if self._refused_at is not None:
                _log.warning("the log of shard %d is written again", self._state.shard)
            self._refused_at = None
            self.last_received = self._pending
        else:
            if self._refused_at is None:
                _log.error("the log of shard %d can't be written: %s", self._state.shard, self._tail.refusal)
            self._refused_at = self._wall()

    def _put_backlog(self) -> bool:
        backlog = self._backlog
        if backlog.hole is not None:
            record = encode_hole(*backlog.hole, self._wall())
            if self._tail.put(record) < len(record):
                return False
            backlog.hole = None
        while backlog.chunks:
            chunk = backlog.chunks[0]
            done = self._tail.put(chunk)
            self._take_seq(chunk[:done])
            if not backlog.written(done):
                return False
        return True

    def _take_seq(self, written: bytes) -> None:
        for entry in Scan(written):
            if entry.seq != NO_SEQ:
                self.last_received = (entry.session, entry.seq)

    def _settle(self) -> None:
        """Go on in the folder that is where the log's should be, once there is one."""
        now = self._wall()
        if self._strayed_at is not None and abs(now - self._strayed_at) < RETRY_AFTER_S:
            return
        if self._strayed_at is None:
            _log.error("the log's folder of shard %d is gone", self._state.shard)
        self._strayed_at = now
        self._tail.look_again()
        if self._tail.astray:
            try:
                self._chain.settle(self._written())
            except (LogError, OSError) as error:
                self._stray = error
                return
            self.moves += 1
        self._settled()

    def _settled(self) -> None:
        _log.warning("the log of shard %d has a folder again", self._state.shard)
        self._strayed_at = self._stray = None
        if self._refused_at is not None:
            self._drain()

    def _written(self) -> State:
        """Return the state as of the last event that isn't waiting."""
        session, seq = self.last_received
        waiting = self._backlog.first
        end = self._next_offset if waiting is None else waiting
        before = {name: last for name, last in self._backlog.names_before().items() if last is not None}
        names = {name: last for name, last in (self._state.last_offsets | before).items() if last < end}
        return replace(self._state, next_offset=end, session=session, seq=seq, last_offsets=names)

    def _keep(self, data: bytes) -> None:
        """Let records wait for a folder; a successor must not give the same offsets away again."""
        if data:
            self._backlog.keep(data)
            self._refused_at = self._refused_at or self._wall()
            self._tail.flag(unrecorded=True)

    def _rotate(self) -> None:
        state = self._state
        state.next_offset, (state.session, state.seq) = self._next_offset, self.last_received
        self._chain.rotate(state)
