"""A real `gwcluster run` against a simulator, a bare SUB socket on it, and a look at its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import msgpack
import zmq

from gwcluster.log import Reader

T = TypeVar("T")

TOKEN: Final = "MTk4NjIyNDgzNDcxOTI1MjQ4.test-secret.never-to-be-seen"


def until(condition: Callable[[], T], what: str, seconds: float = 20.0) -> T:
    """Poll until `condition()` is true and return what it gave; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Return the child processes of a process, none if it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def nurseries() -> list[int]:
    """Return the child processes of this one that are a nursery; other tests may leave it others."""
    found: list[int] = []
    for pid in children(os.getpid()):
        with contextlib.suppress(OSError):
            if b"gwworker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def is_alive(pid: int) -> bool:
    """Say whether a process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Cluster:
    """One cluster in a folder; may be started several times on the same state.

    Attributes:
        at: those that have a simulator's address, until that has looked at them.
    """

    at: ClassVar[dict[str, list[Cluster]]] = {}

    def __init__(self, folder: Path, api: str, **settings: str) -> None:
        self.at.setdefault(api, []).append(self)
        self.folder = folder
        self.file = folder / "cluster.yaml"
        self.state = folder / "state"
        self.events = f"ipc://{folder}/events"
        self.log = folder / "log"
        lines = {
            "name": "e2e",
            "token": TOKEN,
            "intents": "53608447",
            "gateway": f"{{api: '{api}', compression: {settings.pop('compression', 'zlib-stream')}}}",
            "events": f"{{bind: '{self.events}'}}",
            "requests": f"{{bind: 'ipc://{folder}/requests'}}",
            "http": "{bind: null}",
            "state": str(self.state),
            **settings,
        }
        self.file.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, group: int | None = None) -> subprocess.Popen[bytes]:
        """Start `gwcluster run` on the file; only root may name a group."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gwcluster", "run", str(self.file), *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                group=group,
            )
        return self.process

    @property
    def pid(self) -> int:
        """Process id of the coordinator."""
        assert self.process is not None
        return self.process.pid

    @property
    def nursery(self) -> int:
        """Process id of the nursery."""
        return until(lambda: children(self.pid), "the nursery")[0]

    def workers(self, count: int) -> dict[int, int]:
        """Wait for `count` workers; return shard → process id."""

        def found() -> dict[int, int] | None:
            pids: dict[int, int] = {}
            for pid in children(self.nursery):
                with contextlib.suppress(OSError):
                    name, _, shard = Path(f"/proc/{pid}/comm").read_text().strip().partition(" ")
                    if name == "gwworker":
                        pids[int(shard)] = pid
            return pids if len(pids) == count else None

        return until(found, f"{count} workers") or {}

    def text(self) -> str:
        """Return what was logged so far."""
        return self.log.read_text(errors="replace")

    def wait_ready(self, times: int = 1) -> None:
        """Wait until the log has said so many times that all shards are live."""
        until(lambda: self.text().count("ready: all") >= times, f"ready; the log:\n{self.text()}", 30)

    def stop(self) -> int:
        """Send SIGTERM; return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def logged(self) -> list[Message]:
        """Return what is in the logs of the shards, as it was published."""
        folders = sorted((self.state / "shards").glob("*"), key=lambda folder: int(folder.name))
        return [
            Message([f"{one.name}.{folder.name}.".encode(), one.header, one.payload])
            for folder in folders
            if any(folder.glob("*.log"))
            for one in Reader(folder).records()
        ]

    def left_behind(self) -> list[bytes]:
        """Return all that it wrote: what it said, and its state."""
        files = [self.log, *self.state.rglob("*")]
        return [file.read_bytes() for file in files if file.is_file()]

    def everything(self) -> list[int]:
        """Return the process ids of coordinator, nursery and workers."""
        nursery = children(self.pid)
        return [self.pid, *nursery, *(worker for one in nursery for worker in children(one))]


@contextlib.contextmanager
def running(folder: Path, api: str, **settings: str) -> Iterator[Cluster]:
    """Run a cluster as long as the block runs; kill what is left of it at the end."""
    cluster = Cluster(folder, api, **settings)
    cluster.start()
    try:
        yield cluster
    finally:
        if cluster.process is not None and cluster.process.poll() is None:
            cluster.process.kill()
            cluster.process.wait()


class Message:
    """Three frames as a stranger reads them: no code of ours."""

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames
        assert len(frames) == 3, f"{len(frames)} frames"
        self.name, shard, empty = frames[0].decode("ascii").split(".")
        assert empty == ""
        self.header: dict[str, Any] = msgpack.unpackb(frames[1])
        self.shard = int(shard)
        self.payload = frames[2]

    @property
    def is_logged(self) -> bool:
        """Whether the message has an offset of its own."""
        return self.name not in {"GWCLUSTER_BEACON", "GWCLUSTER_CLUSTER_STATE"}


@contextlib.contextmanager
def subscribed(address: str, *prefixes: str) -> Iterator[Callable[[float], Message | None]]:
    """Subscribe with a bare SUB socket; yield a function that returns the next message or None in time."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sub = context.socket(zmq.SUB)
    sub.rcvhwm = 0
    for prefix in prefixes or ("",):
        sub.subscribe(prefix)
    sub.connect(address)

    def receive(seconds: float) -> Message | None:
        return Message(sub.recv_multipart()) if sub.poll(int(seconds * 1000)) else None

    try:
        yield receive
    finally:
        context.destroy(linger=0)


def environment_of(pid: int) -> bytes:
    """Return a process's command line, and its environment if we may see that: root may."""
    found = Path(f"/proc/{pid}/cmdline").read_bytes()
    with contextlib.suppress(PermissionError):
        found += Path(f"/proc/{pid}/environ").read_bytes()
    return found


def kill(pid: int) -> None:
    """SIGKILL a process that a test started."""
    os.kill(pid, signal.SIGKILL)
