"""The demo: runs a cluster against a stand-in Discord and checks what arrives at a plain SUB socket.

It reads events with pyzmq and msgpack alone, as any subscriber would. scripts/demo starts it.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

import msgpack
import zmq

PUBLISHED_AT: Final = "events are published at "
"""The cluster's log line from which on one can connect."""

SHIPPED: Final = Path(__file__).parents[1] / "cluster.yaml"

POLL_MS: Final = 100
SAMPLE_S: Final = 1.0
"""At most so often is an event of a known name shown; all are counted."""

STOP_S: Final = 15.0
"""A cluster that takes longer than this to stop is killed; it promises 10 s."""

QUIET_MS: Final = 300
"""When the cluster has ended and nothing came for so long, nothing is on its way any more."""

WELCOME: Final = """\
A cluster, a stand-in Discord and a subscriber, all of them on this machine; no token is needed.
Shards identify one by one, 5 s apart, as Discord wants it of a bot of this size.
Every event is checked, one a second is shown. All of it stops after {seconds:g} s, or on Ctrl-C.
"""


@dataclass
class Shard:
    """What came of one shard's log.

    Attributes:
        last: highest offset that came; -1: none.
        events: how many came.
        missing: how many offsets didn't come, from 0 on.
        disordered: how many came with an offset not above the one before.
        broken: how many had a `prev` other than the last offset of their name.
        last_of: last offset of each name.
    """

    last: int = -1
    events: int = 0
    missing: int = 0
    disordered: int = 0
    broken: int = 0
    last_of: dict[str, int] = field(default_factory=dict)

    def came(self, name: str, offset: int, prev: int | None) -> None:
        """Count an event."""
        self.events += 1
        if offset <= self.last:
            self.disordered += 1
            return
        self.broken += prev != self.last_of.get(name)
        self.missing += offset - self.last - 1
        self.last = self.last_of[name] = offset

    def told(self, last: int) -> None:
        """A beacon says where the log ends; all that it counts was sent before it."""
        if last > self.last:
            self.missing += last - self.last
            self.last = last

    @property
    def faults(self) -> int:
        """How much is wrong."""
        return self.missing + self.disordered + self.broken


class Subscriber:
    """A SUB socket that gets everything, shows some of it and checks all of it."""

    def __init__(self) -> None:
        self.shards: dict[tuple[int, str], Shard] = {}
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self.socket.subscribe("")
        self._names: set[str] = set()
        self._ready: tuple[int, int] | None = None
        self._next_sample = 0.0
        self._sampled: int | None = None

    def connect(self, address: str) -> None:
        """Listen to a cluster."""
        self.socket.connect(address)
        _say("subscriber", f"a SUB socket is connected to {address}, subscribed to everything")

    def receive(self, timeout_ms: int = 0) -> None:
        """Take all messages that are there, waiting so long for the next one."""
        while self.socket.poll(timeout_ms):
            topic, header, payload = self.socket.recv_multipart()
            self._take(topic.decode().split(".")[0], msgpack.unpackb(header), payload)

    def _take(self, name: str, head: dict[str, object], payload: bytes) -> None:
        shard, epoch, offset, prev = head["shard"], head["epoch"], head["offset"], head["prev"]
        assert isinstance(shard, int)
        assert isinstance(offset, int)
        assert prev is None or isinstance(prev, int)
        if name == "GWCLUSTER_CLUSTER_STATE":
            self._count_ready(json.loads(payload)["d"])
            return
        seen = self.shards.setdefault((shard, str(epoch)), Shard())
        if name == "GWCLUSTER_BEACON":
            seen.told(offset)
            return
        seen.came(name, offset, prev)
        if name not in self._names or (time.monotonic() >= self._next_sample and shard != self._sampled):
            self._names.add(name)
            self._next_sample, self._sampled = time.monotonic() + SAMPLE_S, shard
            before = "none" if prev is None else prev
            place = f"shard {shard}, offset {offset}, prev {before}"
            _say("event", f"{name:<22} {place:<36} {len(payload):>6} bytes, {self.events} so far")

    def _count_ready(self, state: dict[str, int]) -> None:
        now = state["ready"], state["total"]
        if now != self._ready:
            self._ready = now
            _say("subscriber", f"{now[0]} of {now[1]} shards are ready")

    @property
    def events(self) -> int:
        """How many events came, of all shards."""
        return sum(shard.events for shard in self.shards.values())

    def sum_up(self) -> bool:
        """Print what came; return whether it was everything, in order."""
        if not self.shards:
            print("\nNo event came.")
            return True
        print(f"\n{'shard':>5}  {'events':>6}  {'last offset':>11}  {'missing':>7}  {'out of order':>12}")
        for (shard, _), seen in sorted(self.shards.items()):
            row = f"{shard:>5}  {seen.events:>6}  {seen.last:>11}  {seen.missing:>7}"
            print(f"{row}  {seen.disordered + seen.broken:>12}")
        faults = sum(shard.faults for shard in self.shards.values())
        verdict = "NOT all of them, or not in order: see above" if faults else "in order, none missing"
        shards = "1 shard" if len(self.shards) == 1 else f"{len(self.shards)} shards"
        print(f"\n{self.events} events of {shards}: {verdict} (by offset and prev of each).")
        return not faults


class Cluster:
    """A cluster in a process of its own, stopped when the `with` block ends.

    Args:
        config: its file.
    """

    def __init__(self, config: Path) -> None:
        self._rest = b""
        self._kill_at: float | None = None
        program = Path(sys.executable).with_name("gwcluster")
        self.process = subprocess.Popen(
            [program, "run", config, "--simulate", "--log-format", "json"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C is for us alone, and we stop it once
        )

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=STOP_S)
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask it to stop; asked again, only see to it that it does."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + STOP_S
            self.process.terminate()
        elif time.monotonic() >= self._kill_at:
            self.process.kill()

    def read_log(self) -> list[str] | None:
        """Return the lines that are there, waiting for one; None at the end."""
        assert self.process.stderr is not None
        data = self.process.stderr.read(1 << 16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [_text(line.decode(errors="replace")) for line in lines]


def _text(line: str) -> str:
    """Return what a log line says; lines that aren't JSON are said as they are."""
    try:
        said = json.loads(line)
        return str(said["text"]) if said["level"] == "info" else f"{said['level']}: {said['text']}"
    except (ValueError, LookupError, TypeError):
        return line


def _say(who: str, what: str) -> None:
    print(f"{who:<10}  {what}")


def run(config: Path, seconds: float) -> int:
    """Run the demo; return its exit status."""
    asked = False

    def ask(_signum: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, ask)
    print(WELCOME.format(seconds=seconds))
    until = time.monotonic() + seconds
    subscriber = Subscriber()
    with Cluster(config) as cluster:
        poller = zmq.Poller()
        poller.register(subscriber.socket, zmq.POLLIN)
        poller.register(cluster.process.stderr, zmq.POLLIN)
        lines: list[str] | None = []
        while lines is not None:
            if asked or time.monotonic() >= until:
                cluster.stop()
            ready = dict(poller.poll(POLL_MS))
            subscriber.receive()
            lines = cluster.read_log() if len(ready) > (subscriber.socket in ready) else []
            for line in lines or []:
                _say("cluster", line)
                if line.startswith(PUBLISHED_AT):
                    subscriber.connect(line.removeprefix(PUBLISHED_AT).split(", ")[0])
        subscriber.receive(QUIET_MS)
        status = cluster.process.wait()
    whole = subscriber.sum_up()
    if status:
        print(
            f"\ndemo: the cluster ended with status {status}, for the reason above. If an address is in use\n"
            "by something else, stop that, or run the demo with another file: scripts/demo FILE",
            file=sys.stderr,
        )
    return status or (0 if whole else 1)


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(description="Run a cluster against a stand-in Discord, and watch.")
    parser.add_argument(
        "file", nargs="?", type=Path, default=SHIPPED, help="a cluster.yaml (the shipped one)"
    )
    parser.add_argument("--seconds", type=float, default=40.0, help="how long (40)")
    given = parser.parse_args()
    sys.exit(run(given.file, given.seconds))
