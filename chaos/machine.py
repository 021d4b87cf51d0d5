"""The processes of one run (does): a cluster under a service manager, and its subscribers under another."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.notes import Noted, read_lines

TOKEN: Final = "chaos.token.of-nobody"  # noqa: S105 - as it says
_LOOK_S: Final = 0.05
_RECENT_BYTES: Final = 1 << 17
_CONFIG: Final = """\
name: chaos
token: {token}
intents: 53608447
gateway: {{api: '{api}', compression: {compression}}}
events: {{bind: 'ipc://{folder}/events', high_water_mark: {high_water_mark}}}
requests: {{bind: 'ipc://{folder}/requests'}}
http: {{bind: null}}
state: {folder}/state
log: {{retention: {{bytes: 256MiB, age: 1h}}}}
supervision: {{restarts: 1000000, within: 60s}}
"""


def children(pid: int) -> list[int]:
    """Return the child processes of a process, none if it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


class Service:
    """One program that is started again whenever it ends, until it is told to stop."""

    def __init__(self, arguments: Sequence[str], log: Path, environ: dict[str, str]) -> None:
        self.starts = 0
        self._arguments = arguments
        self._log = log
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
        if self._ending or self.pid is not None:
            return
        if self._process is not None:
            self.statuses.append(self._process.returncode)
        self.starts += 1
        with self._log.open("ab") as log:
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


@dataclass(frozen=True, slots=True)
class Role:
    """What one subscriber asks for; `names` None: everything, `shards` None: all."""

    title: str
    names: tuple[str, ...] | None
    shards: tuple[int, ...]
    blocking: bool = False


class Machine:
    """Everything that is started for one run, in one folder.

    Args:
        high_water_mark: messages that the cluster queues for a subscriber before it drops.
    """

    def __init__(
        self, folder: Path, api: str, roles: Sequence[Role], *, compression: str, high_water_mark: int
    ) -> None:
        self.folder = folder
        self.roles = roles
        config = folder / "cluster.yaml"
        config.write_text(
            _CONFIG.format(
                token=TOKEN, api=api, folder=folder, compression=compression, high_water_mark=high_water_mark
            )
        )
        python = [sys.executable, "-P", "-m"]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        self.cluster = Service([*python, "gwcluster", "run", str(config)], folder / "cluster.log", environ)
        self.subscribers = []
        for at, role in enumerate(roles):
            options = ["--shards", ",".join(map(str, role.shards))]
            options += ["--names", ",".join(role.names)] if role.names else []
            options += ["--blocking"] if role.blocking else []
            program = [*python, "chaos.subscriber", f"ipc://{folder}/events", f"ipc://{folder}/requests"]
            files = [str(self._notes(at)), str(folder / f"cursor-{at}")]
            self.subscribers.append(
                Service([*program, *files, *options], folder / f"subscriber-{at}.log", environ)
            )
        self._stopped = threading.Event()
        self._manager = threading.Thread(target=self._manage, daemon=True)

    def start(self) -> None:
        """Start everything, and whatever ends from now on again."""
        self._manager.start()

    def _manage(self) -> None:
        while not self._stopped.wait(_LOOK_S):
            for service in (*self.subscribers, self.cluster):
                service.keep()

    def _notes(self, at: int) -> Path:
        return self.folder / f"notes-{at}"

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

    def victims(self, what: str) -> list[int]:
        """Return the processes of one kind that run now."""
        coordinator = self.cluster.pid
        match what:
            case "subscriber":
                return [pid for service in self.subscribers if (pid := service.pid) is not None]
            case "coordinator":
                return [] if coordinator is None else [coordinator]
            case "nursery":
                return [] if coordinator is None else children(coordinator)
            case _:
                return [] if coordinator is None else [w for n in children(coordinator) for w in children(n)]

    def close(self) -> None:
        """End everything that still runs."""
        self._stopped.set()
        if self._manager.is_alive():
            self._manager.join()
        for service in (*self.subscribers, self.cluster):
            service.stop(signal.SIGKILL, 5.0)


def send(pid: int, signum: int) -> bool:
    """Signal a process that was started here; say whether it was still there."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return False
    return True
