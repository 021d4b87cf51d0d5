"""One case after another, each from its own dice (does): what a finding is, and how it is found again."""

from __future__ import annotations

import json
import random
import resource
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

MIB: Final = 1 << 20
_LINE_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed.

    Attributes:
        case: plays one case with the dice that it is given; whatever it raises is a finding.
        limit_s: CPU seconds that no case may need.
        limit_mib: by how much the process may grow over all cases.
    """

    name: str
    case: Callable[[random.Random], None]
    limit_s: float = 2.0
    limit_mib: int = 128


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that went wrong.

    Attributes:
        dice: their seed.
        what: last line of the traceback, or what was exceeded.
        where: file and line that raised it; findings that share both are one.
        details: the traceback with its local variables.
    """

    target: str
    dice: str
    what: str
    where: str = ""
    details: str = ""

    def save(self, folder: Path) -> Path:
        """Write the finding to a new file in `folder` and return its path."""
        mark = crc32(f"{self.what} {self.where}".encode())
        path = folder / f"finding-{self.target}-{mark:08x}.json"
        command = f"scripts/fuzz --replay {path.name}"
        fields = {"target": self.target, "dice": self.dice, "replay": command, "what": self.what}
        path.write_text(json.dumps(fields | {"details": self.details.splitlines()}, indent=1), "utf-8")
        return path


def play(target: Target, dice: str) -> Finding | None:
    """Play one case; return what is wrong with it, if anything."""
    began = time.process_time()
    try:
        target.case(random.Random(dice))
    except Exception as error:  # noqa: BLE001 - whatever comes out of a case is what we are looking for
        return _finding(target, dice, error)
    took_s = time.process_time() - began
    if took_s > target.limit_s:
        return Finding(
            target.name, dice, f"a case took {took_s:.1f} s of CPU; {target.limit_s} s are allowed"
        )
    return None


def dice_name(target: str, seed: int, index: int) -> str:
    """Return the name of the dice with which a case is played, by itself or among others."""
    return f"{target}/{seed}/{index}"


def cases(target: Target, seed: int) -> Iterator[Finding | None]:
    """Play cases for ever; iterate over what is wrong with them."""
    first_mib = peak_mib()
    index = 0
    while True:
        dice = dice_name(target.name, seed, index)
        finding = play(target, dice)
        grown_mib = peak_mib() - first_mib
        if finding is None and grown_mib > target.limit_mib:
            said = f"the process grew by {grown_mib:.0f} MiB; {target.limit_mib} MiB are allowed"
            finding = Finding(target.name, dice, said)
        if finding is not None:  # it may have left much behind; and a traceback with its variables is large
            first_mib = peak_mib()
        yield finding
        index += 1


def peak_mib() -> float:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _finding(target: Target, dice: str, error: Exception) -> Finding:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = traceback.format_exception_only(error)[-1].strip()
    try:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        lines = [line[:_LINE_CHARS] for part in told.format() for line in part.splitlines()]
    except Exception:  # noqa: BLE001 - locals that can't be printed must not hide the finding
        lines = traceback.format_exception(error)
    where = f"{frame.filename}:{frame.lineno}"
    return Finding(target.name, dice, what[:_LINE_CHARS], where, "\n".join(lines))
