"""What processes use (does): processor time, wake-ups, memory, descriptors and threads, from /proc."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.processes import cpu_s, pss_kb


@dataclass(frozen=True, slots=True)
class Use:
    """Of some processes together, since they began; or, as a difference, over `seconds`.

    Attributes:
        cpu_s: user and system time.
        switches: how often a thread of theirs waited and was woken again.
    """

    seconds: float
    cpu_s: float
    switches: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> Use:
        """Return what they have used by now."""
        pids = tuple(pids)
        return cls(time.monotonic(), sum(map(cpu_s, pids)), sum(map(switches, pids)))

    def since(self, before: Use) -> Use:
        """Return the difference."""
        return Use(self.seconds - before.seconds, self.cpu_s - before.cpu_s, self.switches - before.switches)

    @property
    def percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu_s / self.seconds

    @property
    def wakes_per_s(self) -> float:
        """Wake-ups a second."""
        return self.switches / self.seconds


def switches(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep."""
    told = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                told += int(line.split()[1])
    return told


def memory_mib(pid: int) -> float:
    """Return the proportional set size of a process."""
    return pss_kb(pid) / 1024


def descriptors(pid: int) -> int:
    """Return how many files a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
