"""One writer per log (does): an exclusive lock on the folder itself, so that no lock file is left behind."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gwcluster.errors import LogError


class LogBusy(LogError):  # noqa: N818 - a state of affairs, not a mistake
    """Another process writes this log.

    Attributes:
        where: the log's folder, or what it is kept in elsewhere.
    """

    def __init__(self, where: Path | str) -> None:
        super().__init__(f"another process writes the log in {where}")
        self.where = where


def take_folder(folder: Path) -> int:
    """Create `folder` if need be, lock it, and return the descriptor that holds the lock.

    The kernel lets go of the lock when the last copy of the descriptor is closed, however its process ends.

    Raises:
        LogBusy: another process holds it.
        OSError: the folder can't be created or opened.
    """
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(folder, fd):
                return fd
        except BlockingIOError:
            os.close(fd)
            raise LogBusy(folder) from None
        except OSError:
            os.close(fd)
            raise
        os.close(fd)


def _is_still(folder: Path, fd: int) -> bool:
    """Say whether the locked folder is the one that others find: it may have been removed in between."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))
