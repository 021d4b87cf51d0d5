"""Which runs of this host's coordinator are known to be dead (does): the lock on the state folder proves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Incarnation:
    """Attributes: `now`: of this run; `earlier`: of runs on this folder that ended on this boot of this kernel."""

    now: str
    earlier: frozenset[str]


def begin(state: Path, *, boot: str, fresh: str) -> Incarnation:
    """Note a new run on a state folder that this process holds the lock of.

    Args:
        state: the folder.
        boot: the kernel's boot id: what a folder says that came from elsewhere proves nothing here.
        fresh: a random name for this run.
    """
    raise NotImplementedError
