"""The one writer of a shard's log (does): append, flush, and carry on when the disk doesn't."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final
from zlib import crc32

from gwcluster.errors import LogError, quoted
from gwcluster.log.backlog import Backlog
from gwcluster.log.chain import Chain
from gwcluster.log.lock import LogBusy, take_folder
from gwcluster.log.record import CLOSED, EVENT, FIXED, MARKER, NO_SEQ, PREFIX, Scan, encode, encode_hole
from gwcluster.log.recovery import recover
from gwcluster.log.state import State
from gwcluster.log.tail import NO_ROOM, Tail
from gwcluster.wire.events import header_encoder, topic

__all__ = ["LogBusy", "Writer"]

BACKLOG_BYTES: Final = 8 << 20
RETRY_AFTER_S: Final = 1.0
_NAME: Final = re.compile("[A-Za-z0-9_]{1,100}")

_log = logging.getLogger(__name__)


def boot_id() -> str:
    """Return the identity of the machine's present boot, or "" where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


class Writer:
    """Appends one shard's events to its log. One thread uses it; only `sync` may run in another.

    Attributes:
        epoch: 16 hex digits, the identity of the log.
        next_offset: what the next event gets.
        last_offsets: event name to the offset of its last event, of the names that came lately.
        moves: how often the log had to go on in another folder, since its own was gone; nothing else of the
            folder is in the new one.
        last_received: session and seq of the last *written* record that carries a seq; 0 and None before the
            first. `session` and `seq` are its parts.
    """

    def __init__(self, state: State, chain: Chain, *, wall: Callable[[], float], backlog_bytes: int) -> None:
        """Use `open`."""
        self._state = state
        self._chain = chain
        self._tail = chain.tail
        self._wall = wall
        self._backlog = Backlog(backlog_bytes)
        self._encode_header = header_encoder(state.shard, state.shards, state.epoch)
        self._names: dict[str, tuple[bytes, bytes]] = {}
        self._staged: list[bytes] = []
        self._refused_at: float | None = None
        self._strayed_at: float | None = None
        self._stray: Exception | None = None
        self.moves = 0
        self._closed = False
        self.epoch: Final = state.epoch
        self.next_offset = state.next_offset
        self.last_offsets = state.last_offsets
        self.last_received: tuple[int, int | None] = (state.session, state.seq)
        self._pending = self.last_received

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        shard: int,
        shards: int,
        retention_bytes: int,
        retention_age_s: float,
        new_epoch: Callable[[], str],
        wall: Callable[[], float],
        boot: Callable[[], str] = boot_id,
        backlog_bytes: int = BACKLOG_BYTES,
    ) -> Writer:
        """Lock the log in `folder`, repair what its last writer left behind, and go on with it.

        Args:
            folder: of this shard alone; created with mode 0700.
            shard, shards: shard id, from 0, and shard count. A log of another shard or count is removed.
            retention_bytes: what all segments together may come to; never less than one segment of 1 MiB.
            retention_age_s: segments whose events are all older go, with an eighth of delay.
            new_epoch: returns 16 new hex digits; called only when the log starts anew.
            wall: Unix seconds.
            boot: identity of the machine's boot: in another one, what was not synced may be gone.
            backlog_bytes: what is kept in memory while the disk refuses.

        Raises:
            LogBusy: another process writes this log.
            LogError: the disk refuses, or a newer gwcluster wrote the log.
        """
        try:
            tail = Tail(folder, take_folder(folder))
        except OSError as error:
            raise LogError(f"can't open the log in {folder}: {error}") from error
        try:
            boot_now = boot()
            recovered = recover(folder, shard=shard, shards=shards, boot=boot_now)
            state = recovered.state if recovered else State(new_epoch(), shard, shards, boot_now)
            chain = Chain(
                folder,
                tail,
                recovered.segments if recovered else [],
                retention_bytes=retention_bytes,
                retention_age_s=retention_age_s,
                wall=wall,
            )
            chain.begin(state, recovered.good_bytes if recovered else None)
        except OSError as error:
            tail.close()
            raise LogError(f"can't open the log in {folder}: {error}") from error
        except BaseException:
            tail.close()
            raise
        return cls(state, chain, wall=wall, backlog_bytes=backlog_bytes)

    @property
    def session(self) -> int:
        """See `last_received`."""
        return self.last_received[0]

    @property
    def seq(self) -> int | None:
        """See `last_received`."""
        return self.last_received[1]

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
    def floor(self) -> int | None:
        """The offset after which no name came that isn't in `last_offsets`; None: no such name ever came."""
        return self._state.floor

    @property
    def stored_bytes(self) -> int:
        """Bytes of all segments on the disk."""
        return self._chain.stored_bytes

    @property
    def dirty(self) -> bool:
        """Whether `sync` has something to do."""
        return self._tail.dirty

    def append(
        self, name: str, payload: bytes, *, session: int, seq: int | None, at: float
    ) -> tuple[bytes, bytes, bytes]:
        """Stage one event and return its three frames. Publish them after the next `flush`, never before.

        Args:
            name: event name, of letters, digits and underscores.
            payload: the whole dispatch.
            session: counts sessions within the epoch, from 1.
            seq: Discord's `s`; None for our own notices.
            at: Unix seconds at which the event was received.

        Raises:
            LogError: a name that no topic can carry; nothing was staged.
        """
        offset = self.next_offset
        header = self._encode_header(offset, self.last_offsets.get(name, self._state.floor), session, seq, at)
        known = self._names.get(name) or self._learn(name)
        # record.encode() in place: this runs for every event.
        head = (
            FIXED.pack(
                EVENT,
                len(known[1]),
                len(header),
                len(payload),
                session,
                offset,
                NO_SEQ if seq is None else seq,
                at,
            )
            + known[1]
            + header
        )
        self._staged += (PREFIX.pack(len(head) + len(payload), crc32(payload, crc32(head))) + head, payload)
        self.next_offset = offset + 1
        self.last_offsets[name] = offset
        if seq is not None:
            self._pending = (session, seq)
        return known[0], header, payload

    def _learn(self, name: str) -> tuple[bytes, bytes]:
        if _NAME.fullmatch(name) is None:
            raise LogError(f"not an event name that a topic can carry: {quoted(name)}")
        if name not in self.last_offsets:
            for forgotten in self._state.make_room():
                self._names.pop(forgotten, None)
        self._names[name] = known = (topic(name, self._state.shard), name.encode("ascii"))
        return known

    def mark(self, session: int, seq: int, at: float) -> None:
        """Stage a marker: events up to `seq` were received, though the last of them were filtered out."""
        self._staged += encode(MARKER, b"", b"", b"", session, self.next_offset, seq, at)
        self._pending = (session, seq)

    def flush(self) -> None:
        """Write all that is staged. Never raises for the disk's sake: `degraded` and `seq` tell.

        While the disk refuses, what is staged is kept in memory, the oldest of it is forgotten beyond the
        bound, and a flush tries again at most once a second.
        """
        if self._tail.astray:
            self._keep_staged()
            self._settle()
        elif self._strayed_at is not None:
            self._settled()
        if not self._staged:
            if self._refused_at is not None and self._is_retry_due(self._refused_at):
                self._drain()
            return
        data = b"".join(self._staged)
        self._staged.clear()
        if self._refused_at is None:
            done = self._tail.put(data)
            if done == len(data):
                self.last_received = self._pending
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
        end = self.next_offset if waiting is None else waiting
        before = {name: last for name, last in self._backlog.names_before().items() if last is not None}
        names = {name: last for name, last in (self.last_offsets | before).items() if last < end}
        return replace(self._state, next_offset=end, session=session, seq=seq, last_offsets=names)

    def _keep_staged(self) -> None:
        """Let what is staged wait for a folder; a successor must not give the same offsets away again."""
        if self._staged:
            self._backlog.keep(b"".join(self._staged))
            self._staged.clear()
            self._refused_at = self._refused_at or self._wall()
            self._tail.flag(unrecorded=True)

    def _rotate(self) -> None:
        assert not self._staged, "a segment begins with the state of what is written"
        state = self._state
        state.next_offset, (state.session, state.seq) = self.next_offset, self.last_received
        self._chain.rotate(state)

    def sync(self) -> None:
        """Return when all that was flushed before this call is on the disk. May run in another thread.

        Never raises for the disk's sake: `degraded` tells.
        """
        self._tail.sync()

    def tidy(self, now: float) -> None:
        """Do at Unix second `now` what time asks for; call it about once a minute, or more often."""
        self.flush()
        if self._refused_at is None and not self._tail.astray and self._chain.is_aged(self.next_offset, now):
            self._rotate()
        self._chain.retain(now)

    def close(self) -> None:
        """Flush, sync, and let go of the log. Closing it again does nothing."""
        if self._closed:
            return
        self._closed = True
        self.flush()
        if self._refused_at is not None:
            self._drain()
        if self._refused_at is None:
            self._tail.put(b"".join(encode(CLOSED, b"", b"", b"", 0, self.next_offset, None, self._wall())))
        self._tail.sync()
        self._tail.close()
