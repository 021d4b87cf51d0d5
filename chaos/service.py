"""One program that is started again whenever it ends (does), and the processes that it has."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the child processes of a process, none if it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def send(pid: int, signum: int) -> bool:
    """Signal a process that was started here; say whether it was still there."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True


class Service:
    """One program that is started again whenever it ends, until it is told to stop."""

    def __init__(self, arguments: Sequence[str], log: Path, environ: dict[str, str]) -> None:
        self.starts = 0
        self._held = False
        self._lock = threading.Lock()
        self.log = log
        self._arguments = arguments
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._ending = False
        self.statuses: list[int] = []

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def keep(self) -> None:
        """Start it if it doesn't run."""
        with self._lock:
            if not (self._ending or self._held or self.pid is not None):
                self._start()

    def hold(self) -> None:
        """Don't start it again from now on, for its machine is down."""
        with self._lock:
            self._held = True

    def release(self) -> None:
        """Start it again when it doesn't run."""
        self._held = False

    def _start(self) -> None:
        if self._process is not None:
            self.statuses.append(self._process.returncode)
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environ
            )

    def stop(self, signum: int, seconds: float) -> int | None:
        """End it for good; return its status, None if it had to be killed."""
        self._ending = True
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signum)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None


def of_cluster(what: str, coordinator: int | None) -> list[int]:
    """Return the processes of one kind that a cluster has: `coordinator`, `nursery` or `worker`."""
    if coordinator is None:
        return []
    match what:
        case "coordinator":
            return [coordinator]
        case "nursery":
            return children(coordinator)
        case "worker":
            return [worker for nursery in children(coordinator) for worker in children(nursery)]
        case _:
            raise AssertionError(what)
