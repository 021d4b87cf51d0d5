"""Looks at processes (does): their CPU time in nanoseconds, memory, and children."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def cpu_s(pid: int) -> float:
    """Return user plus system seconds of a process, threads that ended included; 0 if it is gone.

    That is the process's own clock, in nanoseconds; /proc/PID/stat has hundredths of seconds.
    """
    try:
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) makes of a pid
    except OSError:
        return 0.0


def pss_kb(pid: int) -> int:
    """Return the proportional set size of a process in KiB; only root may look at gwcluster's.

    Raises:
        PermissionError: run it as root.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss in smaps_rollup")


def children(pid: int) -> list[int]:
    """Return the child processes of a process, none if it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def workers_of(nursery: int) -> dict[int, int]:
    """Return a nursery's workers, shard → process id; it has other children while it rehearses."""
    found = {}
    for pid in children(nursery):
        with contextlib.suppress(OSError):  # it has just ended
            name = Path(f"/proc/{pid}/comm").read_text().split()
            if name[:1] == ["gwworker"] and len(name) == 2:
                found[int(name[1])] = pid
    return found


def family(pid: int) -> list[int]:
    """Return a process and all that it started, and they."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def until(condition: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Poll until `condition()` is true; return it.

    Raises:
        TimeoutError: it didn't become true.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.02)
    return value
