"""What a shard's log is to those who use it, wherever it is kept (pure)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from gwcluster.log.page import Page
from gwcluster.log.session_state import SavedSession

HOLD_BYTES: Final = 32 << 20
"""`waiting` bytes beyond which nothing more should be read; half of what may wait, as one read inflates."""

Frames = tuple[bytes, bytes, bytes]
"""An event as it is published: topic, header, payload."""

Received = tuple[int, int | None]
"""A session, and the last seq that was received in it."""


class LogWriter(Protocol):
    """The one writer of a shard's log. One thread uses it; only `sync` may run in another.

    A record counts when it is in the log: not before that may it be published, and not before that does its
    seq count as received.
    """

    @property
    def epoch(self) -> str:
        """16 hex digits, the identity of the log."""

    @property
    def next_offset(self) -> int:
        """What the next event gets."""

    @property
    def last_offsets(self) -> dict[str, int]:
        """Event name to the offset of its last event, of the names that came lately."""

    @property
    def floor(self) -> int | None:
        """The offset after which no name came that isn't in `last_offsets`; None: no such name ever came."""

    @property
    def last_received(self) -> Received:
        """Session and seq of the last record that counts and carries a seq; 0 and None before the first."""

    @property
    def session(self) -> int:
        """See `last_received`."""

    @property
    def seq(self) -> int | None:
        """See `last_received`."""

    @property
    def degraded(self) -> str | None:
        """Why records don't get into the log at present, or None when all is well."""

    @property
    def waiting(self) -> int:
        """Bytes that were staged and may still come to count. Beyond `HOLD_BYTES`, read nothing more."""

    @property
    def moves(self) -> int:
        """How often the log had to go on elsewhere, where nothing else is that was beside it."""

    @property
    def dirty(self) -> bool:
        """Whether `sync` has something to do."""

    def append(self, name: str, payload: bytes, *, session: int, seq: int | None, at: float) -> Frames:
        """Stage one event and return its frames.

        Args:
            name: event name, of letters, digits and underscores.
            payload: the whole dispatch.
            session: counts sessions within the epoch, from 1.
            seq: Discord's `s`; None for our own notices.
            at: Unix seconds at which the event was received.

        Raises:
            LogError: a name that no topic can carry; nothing was staged.
        """

    def mark(self, session: int, seq: int, at: float) -> None:
        """Stage a marker: events up to `seq` were received, though the last of them were filtered out."""

    def flush(self, then: Callable[[], None] | None = None) -> None:
        """Bring all that is staged into the log. Never raises for its sake: `degraded` and `seq` tell.

        Args:
            then: called once all that was staged before counts, in the order of the flushes; perhaps before
                this returns.
        """

    def sync(self) -> None:
        """Return when all that was flushed before this call is on the disk. May run in another thread."""

    def tidy(self, now: float) -> None:
        """Do at Unix second `now` what time asks for; call it about once a minute, or more often."""

    async def finish(self) -> None:
        """Return when all that was flushed counts, or after a while if it doesn't come to that."""

    def close(self) -> None:
        """Let go of the log. Closing it again does nothing."""


class LogReader(Protocol):
    """Looks into a shard's log, also while its writer appends. One thread at a time uses it."""

    @property
    def epoch(self) -> str:
        """Identity of the log.

        Raises:
            LogError: there is no log, or it can't be read.
        """

    def read(self, after: int | None, *, names: frozenset[str] | None, limit: int, max_bytes: int) -> Page:
        """Return the events after an offset, and which offsets are missing among them.

        Args:
            after: None: from the oldest that is left.
            names: only events of these; None: all.
            limit: most events.
            max_bytes: most bytes of their frames; a single event may have more.

        Raises:
            Expired: what would come next has expired.
            NoLog: nothing was ever logged here, or all of it was removed.
            LogError: it can't be read.
        """


class SessionStore(Protocol):
    """Keeps the session that a worker's successor resumes."""

    def save(self, saved: SavedSession) -> None:
        """Keep it. It is kept for good before any record counts that is appended after this.

        Raises:
            LogError: it can't be kept; what was saved before still is.
        """

    def load(self) -> SavedSession | None:
        """Return what was saved, or None when there is nothing or nothing that can be trusted."""

    def forget(self) -> None:
        """Keep nothing; that nothing was kept is fine.

        Raises:
            LogError: it is still kept.
        """
