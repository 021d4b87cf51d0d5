"""Starts, ends and looks at a program that is measured (does): gwcluster, or a single process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from bench.processes import children, family, until, workers_of

BOT: Final = "bench.mark.token"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program is to run, and what against."""

    folder: Path
    api: str
    gateway: str
    subscriber: str
    transport: str
    shards: int
    max_concurrency: int


class Running(Protocol):
    """A program that was started."""

    @property
    def events(self) -> str | None:
        """Address of its ZeroMQ PUB; None: it connects to the subscriber itself."""

    @property
    def pid(self) -> int:
        """Process id of its first process."""

    def parts(self) -> dict[str, list[int]]:
        """Return its processes by what they are."""

    def start(self) -> None:
        """Start it, once more if it was killed."""

    def reap(self) -> None:
        """Wait for the end of one that was killed."""

    def stop(self) -> None:
        """End it."""

    def said(self) -> str:
        """Return the end of what it printed."""


class Started:
    """A process with its log file."""

    events: str | None = None

    def __init__(self, command: list[str], place: Place) -> None:
        self._command = command
        self._log = place.folder / "said"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        assert self._process is not None, "it was not started"
        return self._process.pid

    def parts(self) -> dict[str, list[int]]:
        return {"all": family(self.pid)}

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
            self._process.wait()

    def reap(self) -> None:
        assert self._process is not None
        self._process.wait()

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""


class Cluster(Started):
    """gwcluster: coordinator, nursery and workers, all of it as it comes, the log on.

    Args:
        more: lines for its cluster.yaml.
    """

    def __init__(self, place: Place, more: str = "") -> None:
        self.file = place.folder / "cluster.yaml"
        self.events: str = f"ipc://{place.folder}/events"
        self.requests = f"ipc://{place.folder}/requests"
        self._shards = place.shards
        self.file.write_text(
            f"name: bench\ntoken: {BOT}\nintents: [GUILDS, GUILD_MESSAGES, MESSAGE_CONTENT]\n"
            f"gateway: {{api: '{place.api}', compression: {place.transport}}}\n"
            f"events: {{bind: '{self.events}', high_water_mark: 1000000}}\nhttp: {{bind: null}}\n"
            f"requests: {{bind: '{self.requests}'}}\nstate: {place.folder}/state\n"
            f"{more}"
        )
        super().__init__([sys.executable, "-P", "-m", "gwcluster", "run", str(self.file)], place)

    @property
    def nursery(self) -> int:
        """Process id of the nursery."""
        return until(lambda: children(self.pid), "the nursery")[0]

    def workers(self) -> dict[int, int]:
        """Wait for all workers; return shard → process id."""

        def found() -> dict[int, int] | None:
            pids = workers_of(self.nursery)
            return pids if len(pids) == self._shards else None

        return until(found, f"{self._shards} workers") or {}

    def parts(self) -> dict[str, list[int]]:
        return {
            "coordinator": [self.pid],
            "nursery": [self.nursery],
            "workers": list(self.workers().values()),
        }
