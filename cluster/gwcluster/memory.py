"""How much memory processes have (does): in a thread, since the kernel walks their pages for it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

WEIGH_S: Final = 10.0
WEIGH_S_PER_WORKER: Final = 0.25
"""Between two looks, at least, and for each worker: one takes half a millisecond, and they shall cost less
than a hundredth of a core."""


def pause_s(workers: int) -> float:
    """Return the seconds from one look at so many workers to the next."""
    return max(WEIGH_S, WEIGH_S_PER_WORKER * workers)


def memory_of(pid: int) -> int | None:
    """Return the bytes that a process has, its part of what it shares with others; None if nobody knows.

    Where the kernel doesn't tell the proportional set size, it is the resident one: forked workers share a
    good deal, so the sum over all of them is too high then.
    """
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


async def weigh(pids: Iterable[int]) -> dict[int, int]:
    """Return the memory of each of these processes, in bytes; those that are gone are left out."""
    asked = tuple(pids)

    def look() -> dict[int, int]:
        return {pid: found for pid in asked if (found := memory_of(pid)) is not None}

    return await asyncio.to_thread(look)
