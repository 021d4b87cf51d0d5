"""What an event and an idle shard cost (does): prints CPU per event and memory per shard.

CPU is user and system time of whole processes, from /proc, over a batch of 1 KB MESSAGE_CREATE events that
a subscriber counts; memory is the proportional set size (PSS), which shares pages fairly among the workers.
Machines are noisy: quote the median, and compare only what ran together.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Processes:
    """A running cluster."""

    coordinator: int
    nursery: int
    workers: list[int]
    events: str


def cpu_s(pid: int) -> float:
    """Return user plus system seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_kb(pid: int) -> int:
    """Return the proportional set size of a process in KiB; only root may look at gwcluster's."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss in smaps_rollup")


def children(pid: int) -> list[int]:
    """Return the processes that a process's main thread started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until(condition, what: str, seconds: float = 60.0):  # type: ignore[no-untyped-def]
    """Poll until `condition()` is true; return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.05)
    return value


@contextmanager
def cluster(shards: int, compression: str, *flood: str) -> Iterator[Processes]:
    """Run a flood gateway and a cluster of `shards` shards on it."""
    with tempfile.TemporaryDirectory(prefix="gwcluster-bench-") as folder:
        gateway = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("flood.py")), "--shards", str(shards), *flood],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert gateway.stdout is not None
        api = gateway.stdout.readline().strip().rpartition("api ")[2]
        events = f"ipc://{folder}/events"
        file = Path(folder) / "cluster.yaml"
        file.write_text(
            f"name: bench\ntoken: bench.mark.token\nintents: [GUILDS, GUILD_MESSAGES]\n"
            f"gateway: {{api: '{api}', compression: {compression}}}\n"
            f"events: {{bind: '{events}', high_water_mark: 1000000}}\nhttp: {{bind: null}}\n"
            f"requests: {{bind: 'ipc://{folder}/requests'}}\nstate: {folder}/state\n"
            "log: {retention: {bytes: 64MiB}}\n"
        )
        with (Path(folder) / "log").open("w") as log:
            run = subprocess.Popen(
                [sys.executable, "-m", "gwcluster", "run", str(file)], stdout=log, stderr=subprocess.STDOUT
            )
            try:
                nursery = until(lambda: children(run.pid), "the nursery")[0]
                workers = until(lambda: len(found := children(nursery)) == shards and found, "the workers")
                yield Processes(run.pid, nursery, workers, events)
            finally:
                run.send_signal(signal.SIGTERM)
                run.wait()
                gateway.kill()
                gateway.wait()


def event_cost(compression: str, events: int, burst: int, every: float) -> tuple[float, float, float]:
    """Return CPU microseconds per event in worker and coordinator, and events per second."""
    args = ("--events", str(events), "--burst", str(burst), "--every", str(every), "--wait", "3")
    context = zmq.Context()
    with cluster(1, compression, *args) as processes, context:
        sub = context.socket(zmq.SUB)
        sub.rcvhwm = 0
        sub.subscribe(b"MESSAGE_CREATE.")
        sub.connect(processes.events)
        if not sub.poll(60_000):
            raise TimeoutError("no event came")
        worker = processes.workers[0]
        before, began = (cpu_s(worker), cpu_s(processes.coordinator)), time.monotonic()
        received = 0
        while received < events and sub.poll(10_000):
            sub.recv_multipart()
            received += 1
        took = time.monotonic() - began
        after = (cpu_s(worker), cpu_s(processes.coordinator))
        sub.close(linger=0)
        if received < events:
            raise AssertionError(f"{received} of {events} events came")
    worker_us, coordinator_us = ((b - a) / events * 1e6 for a, b in zip(before, after, strict=True))
    return worker_us, coordinator_us, events / took


def idle_memory(shards: int) -> list[int]:
    """Return the PSS in KiB of each worker of an idle cluster, some seconds after READY."""
    with cluster(shards, "zlib-stream") as processes:
        time.sleep(8)
        return [pss_kb(worker) for worker in processes.workers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--shards", type=int, default=32, help="of the memory measurement")
    args = parser.parse_args()
    print(f"{'1 KB events':<28}{'worker':>12}{'coordinator':>14}{'events/s':>12}")
    for compression in ("zlib-stream", "zstd-stream", "none"):
        report(f"{compression}, 10,000/s", args.runs, compression, args.events, 200, 0.02)
    report("zlib-stream, 1,000/s", args.runs, "zlib-stream", args.events // 10, 10, 0.01)
    pss = idle_memory(args.shards)
    print(
        f"idle worker, {args.shards} shards: PSS median {statistics.median(pss) / 1024:.2f} MiB, "
        f"largest {max(pss) / 1024:.2f} MiB"
    )


def report(title: str, runs: int, compression: str, events: int, burst: int, every: float) -> None:
    """Measure several times and print the medians."""
    figures = [event_cost(compression, events, burst, every) for _ in range(runs)]
    worker, coordinator, rate = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"{title:<28}{worker:>9.1f} µs{coordinator:>11.1f} µs{rate:>12,.0f}")


if __name__ == "__main__":
    main()
