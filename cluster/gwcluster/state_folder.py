"""The cluster's state folder (does): one coordinator owns it, and a second one is told who."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from gwcluster.errors import GwclusterError


class StateFolderError(GwclusterError):
    """The state folder can't be used; the message says why and what would help."""


class StateFolder:
    """A state folder that this process owns while it is open.

    The lock is the kernel's, on the folder itself, so nothing is left behind however the owner ends.

    Args:
        path: made with mode 0700 when it isn't there.

    Raises:
        StateFolderError: another cluster owns it, or the disk refuses.

    Attributes:
        runtime: folder of this run's sockets, mode 0700, emptied at the start.
        ledger: file of the identify ledger.
        fanin: ZeroMQ address to which workers push.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runtime = path / "run"
        self.ledger = path / "identify.sqlite"
        self.fanin = f"ipc://{self.runtime / 'fanin'}"
        self._pid_file = path / "coordinator.pid"
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StateFolderError(f"can't use the state folder {path}: {error.strerror}") from error
        try:
            self._take()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateFolderError(
                f"the state folder {self.path} belongs to a cluster that runs as process {self._owner()}; "
                "stop that one first, or give this one another `name` or `state`"
            ) from None
        try:
            self.path.chmod(0o700)
            self._pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")
            self.runtime.mkdir(mode=0o700, exist_ok=True)
            self.runtime.chmod(0o700)
            for leftover in self.runtime.iterdir():
                leftover.unlink()
        except OSError as error:
            raise StateFolderError(f"can't use the state folder {self.path}: {error}") from error

    def _owner(self) -> str:
        try:
            return self._pid_file.read_text(encoding="ascii").strip() or "unknown"
        except (OSError, UnicodeError):
            return "unknown"

    def shard(self, shard: int) -> Path:
        """Return the folder of a shard's log."""
        return self.path / "shards" / str(shard)

    def close(self) -> None:
        """Let go; what only belongs to a running cluster is removed."""
        with contextlib.suppress(OSError):  # nothing depends on it: the lock is what counts
            self._pid_file.unlink(missing_ok=True)
            for leftover in self.runtime.iterdir():
                leftover.unlink()
            self.runtime.rmdir()
        os.close(self._descriptor)
