"""Records that the disk refused, within a bound (pure)."""

from __future__ import annotations

from collections import deque

from gwcluster.log.record import EVENT, Scan


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

    def written(self, done: int) -> bool:
        """Take the first `done` bytes, whole records, off the oldest chunk; say whether that was all."""
        chunk = self.chunks.popleft()
        self._bytes -= done
        if done == len(chunk):
            return True
        self.chunks.appendleft(chunk[done:])
        return False
