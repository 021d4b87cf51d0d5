"""The segment that is written to (does): whole records or nothing, and on the disk when `sync` returns."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from pathlib import Path
from typing import Final

from gwcluster.log.record import Scan
from gwcluster.log.recovery import UNRECORDED_MODE

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Refusals that the removal of an old segment can cure."""

STALE: Final = frozenset({errno.EIO, errno.EROFS, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN})
"""Refusals behind which another disk may have taken this one's place."""

_RETIRED_LIMIT: Final = 8

_log = logging.getLogger(__name__)


class Tail:
    """The end of a log. Everything but `sync` belongs to one thread; `sync` may run in any other.

    Attributes:
        size: bytes of whole records in the segment.
        refusal: what the disk said to the last write, or None.
        sync_refusal: what it said to the last sync, or None.
        astray: the segment isn't in its folder any more, as far as the last look showed.
        durable_first: first offset of the newest segment whose beginning is known to be on the disk, or -1.
    """

    __slots__ = (
        "_fd",
        "_first",
        "_flagged",
        "_folder",
        "_folder_fd",
        "_fresh",
        "_retired",
        "_swap",
        "_synced",
        "_syncing",
        "_torn",
        "_written",
        "astray",
        "durable_first",
        "refusal",
        "size",
        "sync_refusal",
    )

    def __init__(self, folder: Path, folder_fd: int) -> None:
        self._folder = folder
        self._folder_fd = folder_fd
        self._fd = -1
        self._first = -1
        self._retired: list[int] = []
        self._swap = threading.Lock()
        self._syncing = threading.Lock()
        self._written = 0
        self._synced = 0
        self._torn = False
        self._flagged = False
        self._fresh = False
        self.size = 0
        self.refusal: OSError | None = None
        self.sync_refusal: OSError | None = None
        self.durable_first = -1
        self.astray = False

    @property
    def dirty(self) -> bool:
        """Whether something was written that `sync` hasn't seen yet."""
        return self._written != self._synced

    def go_on_in(self, fd: int, first: int, size: int) -> None:
        """Write to the segment behind `fd` from now on; the one before is closed by the next `sync`."""
        with self._swap:
            if self._fd >= 0:
                self._retired.append(self._fd)
            self._fd, self._first, self.size = fd, first, size
            self._written += 1
            self._fresh = True
        self._torn = self._flagged = self.astray = False
        if len(self._retired) > _RETIRED_LIMIT:
            self.sync()

    def put(self, data: bytes) -> int:
        """Write `data`, whole records, and return how many bytes of it are in the log now.

        Fewer than all of them means that the disk refused the others: `refusal` tells why. The file never
        keeps a part of a record.
        """
        done = 0
        try:
            if self._torn:
                os.ftruncate(self._fd, self.size)
                self._torn = False
            done = os.write(self._fd, data)
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError as error:
            self.refusal = error
            done = self._cut(data[:done])
        else:
            self.refusal = None
        if done:
            self.size += done
            self._written += 1
        return done

    def _cut(self, written: bytes) -> int:
        """Cut the part of a record off the end of the file; return the bytes that remain of `written`."""
        scan = Scan(written)
        for _ in scan:
            pass
        if self._torn or scan.end < len(written):
            self._torn = True
            try:
                os.ftruncate(self._fd, self.size + scan.end)
                self._torn = False
            except OSError as error:
                self.refusal = error
        return scan.end

    def flag(self, *, unrecorded: bool) -> None:
        """Note on the segment whether offsets that it doesn't hold were given away after its end."""
        if unrecorded is self._flagged:
            return
        try:
            os.fchmod(self._fd, UNRECORDED_MODE if unrecorded else 0o600)
            self._flagged = unrecorded
        except OSError as error:
            # A disk that refuses even this can't be helped; a successor could not write to it either.
            self.refusal = self.refusal or error

    def move(self, folder_fd: int) -> None:
        """Hold the lock of another folder from now on, and let go of the one so far."""
        with self._syncing, self._swap:
            os.close(self._folder_fd)
            self._folder_fd = folder_fd
            self.durable_first = -1

    def held(self, folder: Path) -> int | None:
        """Return one more descriptor of the lock that is held, None if it is another folder's."""
        if os.path.samestat(os.fstat(self._folder_fd), folder.stat()):
            return os.dup(self._folder_fd)
        return None

    def look(self, fd: int, first: int) -> None:
        """See whether the segment behind `fd` is where readers look for it."""
        try:
            self.astray = not os.path.samestat(os.fstat(fd), (self._folder / f"{first:020d}.log").stat())
        except OSError:
            self.astray = True

    def look_again(self) -> None:
        """See whether the segment is where it was, or another disk is there after a refusal."""
        self.look(self._fd, self._first)
        if not self.astray and self.refusal is not None and self.refusal.errno in STALE:
            with contextlib.suppress(OSError):  # then it is this very disk that refuses
                os.close(os.open(self._folder / f"{self._first:020d}.log", os.O_WRONLY | os.O_CLOEXEC))
                self.astray = True

    def sync(self) -> None:
        """Return when all that was written before this call is on the disk; `sync_refusal` says if not."""
        with self._syncing:
            with self._swap:
                if self._fd < 0:
                    return
                goal, first, fresh = self._written, self._first, self._fresh
                retired, self._retired = self._retired, []
                try:
                    fd = os.dup(self._fd)
                except OSError as error:
                    self._retired, self.sync_refusal = retired, error
                    return
                self._fresh = False
            try:
                # In this order: a segment that is there without the end of the one before would be a gap.
                for older in retired:
                    os.fdatasync(older)
                os.fdatasync(fd)
                if fresh:
                    os.fsync(self._folder_fd)
            except OSError as error:
                if self.sync_refusal is None:
                    _log.error("log segment %020d can't be synced: %s", first, error)
                self.sync_refusal = error
                self._fresh = self._fresh or fresh
            else:
                self._synced, self.durable_first, self.sync_refusal = goal, first, None
                if first == self._first:
                    self.look(fd, first)
            finally:
                for each in (*retired, fd):
                    os.close(each)

    def close(self) -> None:
        """Close the segment and let go of the folder's lock. Does not sync."""
        with self._syncing, self._swap:
            for fd in (*self._retired, self._fd, self._folder_fd):
                if fd >= 0:
                    os.close(fd)
            self._retired, self._fd, self._folder_fd = [], -1, -1
