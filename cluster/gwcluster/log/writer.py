"""The one writer of a shard's log (does): it makes records of events, and flushes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from zlib import crc32

from gwcluster.errors import LogError, quoted
from gwcluster.log.chain import Chain
from gwcluster.log.interface import Received
from gwcluster.log.lock import LogBusy, take_folder
from gwcluster.log.output import Output
from gwcluster.log.record import EVENT, FIXED, MARKER, NO_SEQ, PREFIX, encode
from gwcluster.log.recovery import recover
from gwcluster.log.state import State
from gwcluster.log.tail import Tail
from gwcluster.wire.events import header_encoder, topic

__all__ = ["LogBusy", "Writer"]

BACKLOG_BYTES: Final = 8 << 20
_NAME: Final = re.compile("[A-Za-z0-9_]{1,100}")


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
    """

    def __init__(self, state: State, chain: Chain, *, wall: Callable[[], float], backlog_bytes: int) -> None:
        """Use `open`."""
        self._state = state
        self._output = Output(state, chain, wall=wall, backlog_bytes=backlog_bytes)
        self._encode_header = header_encoder(state.shard, state.shards, state.epoch)
        self._names: dict[str, tuple[bytes, bytes]] = {}
        self._staged: list[bytes] = []
        self._closed = False
        self.epoch: Final = state.epoch
        self.next_offset = state.next_offset
        self.last_offsets = state.last_offsets
        self._pending: Received = (state.session, state.seq)

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
    def last_received(self) -> Received:
        """Session and seq of the last *written* record that carries a seq; 0 and None before the first."""
        return self._output.last_received

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
        return self._output.degraded

    @property
    def waiting(self) -> int:
        """Bytes that may still come to count: none, as a record that was flushed does."""
        return 0

    @property
    def moves(self) -> int:
        """How often the log had to go on in another folder, since its own was gone.

        Nothing else that was in the folder is in the new one.
        """
        return self._output.moves

    @property
    def stored_bytes(self) -> int:
        """Bytes of all segments on the disk."""
        return self._output.stored_bytes

    @property
    def dirty(self) -> bool:
        """Whether `sync` has something to do."""
        return self._output.dirty

    @property
    def floor(self) -> int | None:
        """The offset after which no name came that isn't in `last_offsets`; None: no such name ever came."""
        return self._state.floor

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

    def flush(self, then: Callable[[], None] | None = None) -> None:
        """Write all that is staged. Never raises for the disk's sake: `degraded` and `seq` tell.

        While the disk refuses, what is staged is kept in memory, the oldest of it is forgotten beyond the
        bound, and a flush tries again at most once a second.

        Args:
            then: called before this returns, whatever the disk said.
        """
        data = b"".join(self._staged)
        self._staged.clear()
        self._output.write(data, self._pending, self.next_offset)
        if then is not None:
            then()

    def sync(self) -> None:
        """Return when all that was flushed before this call is on the disk. May run in another thread.

        Never raises for the disk's sake: `degraded` tells.
        """
        self._output.sync()

    def tidy(self, now: float) -> None:
        """Do at Unix second `now` what time asks for; call it about once a minute, or more often."""
        self.flush()
        self._output.tidy(now)

    async def finish(self) -> None:
        """Return at once: all that was flushed counts."""

    def close(self) -> None:
        """Flush, sync, and let go of the log. Closing it again does nothing."""
        if not self._closed:
            self._closed = True
            self.flush()
            self._output.close()
