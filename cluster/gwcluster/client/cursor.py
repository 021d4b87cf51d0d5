"""A file that keeps how far a subscriber has come (does)."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gwcluster.client.cursor_lines import line_of, lines_of, places_in
from gwcluster.client.place import Place, Step
from gwcluster.errors import GwclusterError

REWRITE_BYTES: Final = 1 << 20
"""Beyond this size the file is replaced by a short one that says the same."""

_MAX_BYTES: Final = 64 << 20


class CursorError(GwclusterError):
    """A cursor can't be used; the message names the file and says why and what would help."""


class Cursor:
    """Places by shard, in a file that this process owns while it is open.

    Each step is one write: a process that is killed loses none. A machine that loses power may lose the last
    ones, and their events come again.

    Args:
        path: made with mode 0600 when it isn't there.

    Raises:
        CursorError: another process uses it, it is something else, or the disk refuses.

    Attributes:
        places: by shard, as they were when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        try:
            self._fd = _locked(path)
            data = os.pread(self._fd, _MAX_BYTES, 0)
            places, good = places_in(data)
            self._places = places
            self.places = dict(places)
            self._size = good
            os.ftruncate(self._fd, good)
            self._rewrite()
        except (OSError, ValueError) as error:
            if self._fd >= 0:
                os.close(self._fd)
            said = error.strerror if isinstance(error, OSError) else error
            raise CursorError(
                f"can't use the cursor {path}: {said}; give another path, or remove it to begin at now"
            ) from error
        except BaseException:
            if self._fd >= 0:
                os.close(self._fd)
            raise

    def finished(self, step: Step) -> None:
        """Note a step.

        Raises:
            CursorError: the disk refuses; what was noted before is still there.
        """
        before = self._places.get(step.shard)
        self._places[step.shard] = Place(step.epoch, -1).moved(step) if before is None else before.moved(step)
        line = line_of(step)
        try:
            if os.write(self._fd, line) < len(line):
                os.ftruncate(self._fd, self._size)
                raise OSError(28, "no space left for a whole line")
            self._size += len(line)
            if self._size > REWRITE_BYTES:
                self._rewrite()
        except OSError as error:
            raise CursorError(f"can't write the cursor {self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Sync it, and let go of it. Closing it again does nothing."""
        if self._fd >= 0:
            try:
                os.fsync(self._fd)
            finally:
                os.close(self._fd)
                self._fd = -1

    def _rewrite(self) -> None:
        """Replace the file by a short one, which is locked before it has the name."""
        data = lines_of(self._places)
        fresh = self._path.with_name(self._path.name + ".new")
        fd = os.open(
            fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            written = 0
            while written < len(data):
                written += os.write(fd, data[written:])
            os.fsync(fd)
            fresh.rename(self._path)
        except BaseException:
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd, self._size = fd, len(data)


def _locked(path: Path) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, fd):
                return fd
        except BlockingIOError:
            os.close(fd)
            raise CursorError(f"another process uses the cursor {path}; give each its own") from None
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _is_still(path: Path, fd: int) -> bool:
    """Say whether the locked file is the one that others find: it may have been replaced in between."""
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def finisher(cursor: Cursor | None) -> Callable[[Step], None]:
    """Return what notes steps, if anybody wants them noted."""
    return cursor.finished if cursor is not None else lambda _step: None
