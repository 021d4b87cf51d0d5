"""The cluster's state folder (does): one coordinator owns it, and a second one is told who."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from gwcluster.errors import GwclusterError

_PID_FILE: Final = "coordinator.pid"


class StateFolderError(GwclusterError):
    """The state folder can't be used; the message says why and what would help."""


def ledger_in(path: Path) -> Path:
    """Return the file of the identify ledger in a state folder, whoever owns that."""
    return path / "identify.sqlite"


def shards_in(path: Path) -> Path:
    """Return the folder of all shards' logs in a state folder, whoever owns that."""
    return path / "shards"


def owner_of(path: Path) -> int | None:
    """Return the process id of the cluster that runs on a state folder, None if none does or says so."""
    try:
        pid = int((path / _PID_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return pid if pid > 0 and Path(f"/proc/{pid}").exists() else None


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
        shards: folder of all shards' logs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runtime = path / "run"
        self.ledger = ledger_in(path)
        self.shards = shards_in(path)
        self.fanin = f"ipc://{self.runtime / 'fanin'}"
        self._pid_file = path / _PID_FILE
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
        owner = owner_of(self.path)
        return "unknown" if owner is None else str(owner)

    def shard(self, shard: int) -> Path:
        """Return the folder of a shard's log."""
        return self.shards / str(shard)

    def close(self) -> None:
        """Let go; what only belongs to a running cluster is removed."""
        with contextlib.suppress(OSError):  # nothing depends on it: the lock is what counts
            self._pid_file.unlink(missing_ok=True)
            for leftover in self.runtime.iterdir():
                leftover.unlink()
            self.runtime.rmdir()
        os.close(self._descriptor)
