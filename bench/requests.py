"""What a flood of requests costs others (does): prints latencies of events and answers, without and with it.

One cluster of four shards, 250 events of 1 KB a second on each. A polite client asks one thing at a time.
Flooders, in processes of their own, ask for replays of a megabyte, the status and garbage as fast as they
can, and one of them never reads an answer. They get only the time that nobody else wants (nice 19), as if
they ran elsewhere. Event latency is from the worker's receipt (`at`) to the subscriber. Machines are noisy:
look at the ratios, and compare only what ran together.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import zmq

from bench.gateway import Gateway
from bench.processes import until
from bench.running import Cluster, Place
from bench.schedule import Pace
from bench.serving import Settings

SHARDS = 4
EVENTS_PER_S = 250
"""On each shard."""


def flood(address: str, mute: bool) -> None:
    """Ask as fast as questions are taken, for ever."""
    os.nice(19)  # what is measured is what the cluster does about it, not who else is short of a processor
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect(address)
    asked: list[dict[str, Any]] = [
        *({"op": "replay", "shard": shard} for shard in range(SHARDS)),
        {"op": "status"},
        {"op": "none", "id": "x" * 1000},
    ]
    for each in itertools.cycle(msgpack.packb({"v": 1, "id": None, **fields}) for fields in asked):
        while not mute and socket.poll(0):
            socket.recv()
        try:
            socket.send(each, zmq.DONTWAIT)
        except zmq.Again:
            socket.poll(5)


@contextmanager
def flooders(address: str, count: int) -> Iterator[None]:
    """Flood as long as the block runs."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=flood, args=(address, number == 0)) for number in range(count)]
    for process in processes:
        process.start()
    try:
        time.sleep(3.0)
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


@contextmanager
def running(seconds: float) -> Iterator[tuple[Gateway, Cluster]]:
    """Run a cluster on a gateway that has events for both measurements, and some time between them."""
    count = int((2 * seconds + 120) * EVENTS_PER_S)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Gateway(Settings("chat", SHARDS, SHARDS, count, "zlib-stream")) as gateway,
    ):
        cluster = Cluster(Place(Path(folder), gateway.api, gateway.url, "", "zlib-stream", SHARDS, SHARDS))
        try:
            cluster.start()
            until(lambda: gateway.live() == SHARDS, "the shards")
            yield gateway, cluster
        finally:
            cluster.stop()


class Events:
    """A subscriber that notes how old each event is when it comes."""

    def __init__(self, address: str) -> None:
        self.ages: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address,))
        self._thread.start()

    def _run(self, address: str) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.rcvhwm = 0
            socket.subscribe("MESSAGE_CREATE.")
            socket.connect(address)
            while not self._over.is_set():
                if socket.poll(100):
                    _, header, _ = socket.recv_multipart()
                    self.ages.append(time.time() - msgpack.unpackb(header)["at"])

    def taken(self) -> list[float]:
        """Return what was noted since the last time."""
        ages, self.ages = self.ages, []
        return ages

    def close(self) -> None:
        """Stop."""
        self._over.set()
        self._thread.join()


def ask(socket: zmq.Socket[bytes], **fields: Any) -> float:
    """Ask one thing until it is done; return how many seconds that took."""
    began = time.perf_counter()
    while True:
        socket.send(msgpack.packb({"v": 1, "id": 1, **fields}))
        if not socket.poll(60_000):
            raise TimeoutError(f"no answer to {fields} within a minute")
        if msgpack.unpackb(socket.recv())["ok"]:
            return time.perf_counter() - began
        time.sleep(0.01)


def measured(socket: zmq.Socket[bytes], events: Events, seconds: float) -> dict[str, list[float]]:
    """Ask politely for so many seconds; return how long things took."""
    found: dict[str, list[float]] = {"status": [], "replay of 1 event": [], "replay of 1 MiB": []}
    events.taken()
    give_up_at = time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        found["status"].append(ask(socket, op="status"))
        found["replay of 1 event"].append(ask(socket, op="replay", shard=1, limit=1))
        found["replay of 1 MiB"].append(ask(socket, op="replay", shard=2))
        time.sleep(0.02)
    return {"event": events.taken(), **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flooders", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each of the two measurements")
    args = parser.parse_args()
    with running(args.seconds) as (gateway, cluster), zmq.Context() as context:
        events = Events(cluster.events)
        gateway.send(Pace(gateway.settings.events, EVENTS_PER_S, burst=10))
        with context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.connect(cluster.requests)
            until(lambda: len(events.ages) > 5 * SHARDS * EVENTS_PER_S, "events")
            calm = measured(socket, events, args.seconds)
            with flooders(cluster.requests, args.flooders):
                flooded = measured(socket, events, args.seconds)
        events.close()
        line = next(
            line
            for line in Path(f"/proc/{cluster.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM:")
        )
    print(f"{'milliseconds':<22}{'calm':>20}{'flooded':>20}{'ratio':>8}")
    print(f"{'':<22}{'median':>10}{'99 %':>10}{'median':>10}{'99 %':>10}{'medians':>8}")
    for name, before in calm.items():
        after = flooded[name]
        figures = [1000 * figure for times in (before, after) for figure in (median(times), worst(times))]
        columns = "".join(f"{figure:>10.2f}" for figure in figures)
        print(f"{name:<22}{columns}{figures[2] / figures[0]:>8.1f}   of {len(before)} and {len(after)}")
    print(f"coordinator at most {int(line.split()[1]) / 1024:.0f} MiB")


def median(times: list[float]) -> float:
    """Return the middle one."""
    return statistics.median(times)


def worst(times: list[float]) -> float:
    """Return what 99 % stay below."""
    return sorted(times)[int(0.99 * (len(times) - 1))]


if __name__ == "__main__":
    main()
