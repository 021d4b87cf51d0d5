"""Records that the disk refused, within a bound (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from gwcluster.log.record import EVENT, Entry, Scan
from gwcluster.wire.events import decode_header


class Backlog:
    """Keeps chunks of whole records, forgets the oldest beyond `limit_bytes`, and remembers which.

    Attributes:
        chunks: oldest first; take them with `written`.
        hole: first and last offset of the events that were forgotten, or None.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.chunks: deque[bytes] = deque()
        self.hole: tuple[int, int] | None = None
        self._limit_bytes = limit_bytes
        self._bytes = 0

    def keep(self, chunk: bytes) -> None:
        """Add whole records."""
        self.chunks.append(chunk)
        self._bytes += len(chunk)
        while self._bytes > self._limit_bytes:
            forgotten = self.chunks.popleft()
            self._bytes -= len(forgotten)
            for entry in Scan(forgotten):
                if entry.kind == EVENT:
                    self.hole = (self.hole[0] if self.hole else entry.offset, entry.offset)

    @property
    def first(self) -> int | None:
        """Offset of the oldest event that waits or was forgotten; None: no event is here."""
        if self.hole is not None:
            return self.hole[0]
        return next((entry.offset for entry, _ in self._events()), None)

    def names_before(self) -> dict[str, int | None]:
        """Return for each name that waits the offset of its last event before."""
        names: dict[str, int | None] = {}
        for entry, chunk in self._events():
            name = chunk[entry.name : entry.header].decode("ascii")
            if name not in names:
                names[name] = decode_header(chunk[entry.header : entry.payload]).prev
        return names

    def _events(self) -> Iterator[tuple[Entry, bytes]]:
        for chunk in self.chunks:
            for entry in Scan(chunk):
                if entry.kind == EVENT:
                    yield entry, chunk

    def written(self, done: int) -> bool:
        """Take the first `done` bytes, whole records, off the oldest chunk; say whether that was all."""
        chunk = self.chunks.popleft()
        self._bytes -= done
        if done == len(chunk):
            return True
        self.chunks.appendleft(chunk[done:])
        return False
