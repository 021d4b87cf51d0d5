"""Which runs of this host's coordinator are known to be dead (does): the lock on its state folder proves it.

Whoever holds the lock knows that the coordinator before it is dead, as the kernel took the lock from it, and
that its workers are, since they don't outlive it. That is so on one kernel: a folder that came from
elsewhere, in a backup say, tells of runs that may still be alive there, and proves nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gwcluster.hosts.errors import HostsError

FILE: Final = "incarnations.json"
KEPT: Final = 8
"""Earlier runs that are remembered; leases of an older one have ended long ago."""


@dataclass(frozen=True, slots=True)
class Incarnation:
    """Attributes: `now`: this run; `earlier`: runs on this folder and this boot of the kernel, all dead."""

    now: str
    earlier: frozenset[str]


def begin(state: Path, *, boot: str, fresh: str) -> Incarnation:
    """Note a new run on a state folder that this process holds the lock of.

    Args:
        state: the folder.
        boot: identity of the kernel's boot, unlike any other of any machine; "" where it has none, which
            proves nothing.
        fresh: a random name for this run.

    Raises:
        HostsError: it can't be noted.
    """
    path = state / FILE
    earlier = _noted(path, boot)
    said = json.dumps({"boot": boot, "runs": [*earlier, fresh][-KEPT:]})
    aside = path.with_suffix(".new")
    try:
        aside.write_text(said, encoding="ascii")
        aside.replace(path)
    except OSError as error:
        raise HostsError(f"can't write {path}: {error.strerror}") from error
    return Incarnation(fresh, frozenset(earlier))


def _noted(path: Path, boot: str) -> list[str]:
    try:
        found = json.loads(path.read_text(encoding="ascii"))
        runs = found["runs"] if boot and found["boot"] == boot else []
        return [run for run in runs if isinstance(run, str)][-KEPT:]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []  # then the leases of earlier runs are waited for
