"""Subscribers that write down what they get (does): one program each, and its notes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.notes import Noted, read_lines
from chaos.service import Service

PYTHON: Final = [sys.executable, "-P", "-m"]
_RECENT_BYTES: Final = 1 << 17


def environment(**more: str) -> dict[str, str]:
    """Return the environment in which our own modules are found."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **more}


@dataclass(frozen=True, slots=True)
class Role:
    """What one subscriber asks for; `names` None: everything, `shards` None: all."""

    title: str
    names: tuple[str, ...] | None
    shards: tuple[int, ...]
    blocking: bool = False


class Listeners:
    """One subscriber for each role.

    Args:
        folder: for their notes, cursors and logs.
        where: gives the options with which the subscriber of this number finds its cluster.
        environ: theirs.
        runs: makes the command that runs another one where subscribers are.
    """

    def __init__(
        self,
        folder: Path,
        roles: Sequence[Role],
        where: Callable[[int], list[str]],
        environ: dict[str, str],
        runs: Callable[[list[str]], list[str]] = list,
    ) -> None:
        self._folder = folder
        self.roles = roles
        self.services: list[Service] = []
        for at, role in enumerate(roles):
            options = ["--shards", ",".join(map(str, role.shards))]
            options += ["--names", ",".join(role.names)] if role.names else []
            options += ["--blocking"] if role.blocking else []
            files = [str(self._notes(at)), str(folder / f"cursor-{at}")]
            program = runs([*PYTHON, "chaos.subscriber", *files, *where(at), *options])
            self.services.append(Service(program, folder / f"subscriber-{at}.log", environ))

    def _notes(self, at: int) -> Path:
        return self._folder / f"notes-{at}"

    def noted(self, at: int) -> list[Noted | None]:
        """Return what a subscriber has written down so far."""
        try:
            return read_lines(self._notes(at).read_text(encoding="ascii"))
        except FileNotFoundError:
            return []

    def had(self, at: int, shard: int) -> int:
        """Return the last seq of a shard among what a subscriber wrote down last, 0 if there is none."""
        try:
            with self._notes(at).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _RECENT_BYTES))
                _, _, whole = file.read().partition(b"\n")
        except FileNotFoundError:
            return 0
        recent = [one for one in read_lines(whole.decode("ascii")) if one is not None and one.shard == shard]
        return max((one.seq or 0 for one in recent), default=0)

    def pids(self) -> list[int]:
        """Return those that run now."""
        return [pid for service in self.services if (pid := service.pid) is not None]
