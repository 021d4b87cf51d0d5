"""Many shards on one machine (does): what they cost, how fast they start, stop and come back, what is lost.

Gateway, cluster and subscriber share the machine: on one of the cluster's own, what is printed of the gateway
and the subscriber would be free. Bounded, and on loopback alone. Memory needs root, as nobody else may look
into the cluster's processes. Machines are noisy: compare only what ran together.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import statistics
import time
from array import array
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.gauges import Use, descriptors, memory_mib, threads
from bench.scratch import scratch
from bench.slopes import slopes
from bench.stage import Stage

SETTLE_S = 5.0
VICTIMS = 50
APART_S = 0.2
PACE_S = 5.0
"""Between two identifies of one key. The cluster adds a quarter of a second, and up to another at random."""

PARTS = ("start", "quiet", "load", "kills")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=256)
    parser.add_argument("--rate", type=float, default=20.0, help="events a second and shard")
    parser.add_argument("--seconds", type=float, default=600.0, help="of the load")
    parser.add_argument("--quiet-seconds", type=float, default=60.0, help="of the time without events")
    parser.add_argument("--concurrency", type=int, default=16, help="max_concurrency of the paced start")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--slopes", action="store_true", help="only what a shard and an event cost, see slopes.py"
    )
    args = parser.parse_args()
    cores = os.cpu_count()
    print(f"{cores} cores for cluster, gateway and subscriber; 1 KB MESSAGE_CREATE, zlib-stream", flush=True)
    if args.slopes:
        slopes(args.shards, args.seconds)
        return
    if "start" in args.parts:
        paced_start(args.shards, args.concurrency)
    if {"quiet", "load", "kills"}.intersection(args.parts):
        whole(args)


def whole(args: argparse.Namespace) -> None:
    """Start, look at what it costs, kill everything once, stop."""
    with scratch(os.getpid()) as folder, Stage(folder, args.shards, args.shards) as stage:
        print(f"\n{args.shards} shards, max_concurrency as many: all live after {stage.ready_s():.2f} s")
        if "quiet" in args.parts:
            time.sleep(SETTLE_S)
            show("no events", stage, measured(stage, args.quiet_seconds), 0)
        stage.flow(args.rate)
        time.sleep(SETTLE_S)
        if "load" in args.parts:
            load(stage, args.rate, args.seconds)
        if "kills" in args.parts:
            kills(stage)
        stage.flow(0)
        time.sleep(1)
        print(f"\nstop, from SIGTERM to its exit: {stage.stop_s():.2f} s", flush=True)
        account = stage.account()
        events, lost = sum(account["events"]), stage.lost()
        print(f"in all {account['identifies']} identifies, {account['resumes']} resumes, {events} events;")
        print(f"  {lost} events of the gateway's account are not in the logs, once and in order")


def paced_start(shards: int, concurrency: int) -> None:
    """Start at Discord's pace, stop, and start again."""
    with scratch(os.getpid()) as folder, Stage(folder, shards, concurrency) as stage:
        ready_s, pace_s = stage.ready_s(), (math.ceil(shards / concurrency) - 1) * PACE_S
        early = stage.account()["too_early"]
        print(f"\n{shards} shards, max_concurrency {concurrency}: all live after {ready_s:.2f} s,")
        print(f"  of which Discord's pace is {pace_s:.2f} s; {early} identifies came too early")
        print(f"  stop: {stage.stop_s():.2f} s")
        print(f"  next start, all resume: {stage.ready_s():.2f} s", flush=True)


def load(stage: Stage, rate: float, seconds: float) -> None:
    """Measure with events."""
    stage.ages()
    before = sum(stage.account()["events"])
    uses = measured(stage, seconds)
    account = stage.account()
    events = sum(account["events"]) - before
    ages = stage.ages()
    show(f"{rate:g} events a second and shard, {events / seconds:.0f} in all", stage, uses, events)
    print(f"  from the gateway's send to a subscriber's receipt: {centiles(ages)}")
    print(
        f"  (the gateway sent none more than {1000 * account['behind_s']:.0f} ms later than it should)",
        flush=True,
    )


def kills(stage: Stage) -> None:
    """Kill workers, the nursery and the coordinator, under load."""
    found: list[float] = []
    for pid in stage.workers[:: max(1, stage.shards // VICTIMS)][:VICTIMS]:
        shard = int(Path(f"/proc/{pid}/comm").read_text().split()[1])
        found += stage.resumed_s(partial(os.kill, pid, signal.SIGKILL), shards=[shard])
        time.sleep(APART_S)
    print(f"\nSIGKILL of a worker, {len(found)} times: RESUMED after {centiles(found)}", flush=True)
    nursery = stage.nursery
    took = stage.resumed_s(partial(os.kill, nursery, signal.SIGKILL))
    print(f"SIGKILL of the nursery: {halves(took)}")
    time.sleep(SETTLE_S)
    identifies = stage.account()["identifies"]
    took = stage.resumed_s(stage.restart)
    spent = stage.account()["identifies"] - identifies
    print(f"SIGKILL of the coordinator, and a start: {halves(took)}, with {spent} identifies", flush=True)
    time.sleep(SETTLE_S)


def measured(stage: Stage, seconds: float) -> dict[str, Use]:
    """Return what each kind of process uses over so many seconds."""
    before = stage.uses()
    time.sleep(seconds)
    after = stage.uses()
    return {kind: after[kind].since(before[kind]) for kind in after}


def show(title: str, stage: Stage, uses: dict[str, Use], events: int) -> None:
    """Print what was used, and what is held."""
    print(f"\n{title}, for {uses['workers'].seconds:.0f} s")
    for kind, use in uses.items():
        each = f"{1e6 * use.cpu_s / events:8.1f} µs an event" if events else ""
        print(f"  {kind:<12}{use.percent:8.2f} % of a core{use.wakes_per_s:10.0f} wake-ups/s{each}")
    print(f"  {'together':<12}{sum(use.percent for use in uses.values()):8.2f} % of a core")
    workers, coordinator, nursery = stage.workers, stage.coordinator, stage.nursery
    sizes = [memory_mib(pid) for pid in workers]
    others = memory_mib(coordinator), memory_mib(nursery)
    print(
        f"  memory (PSS): worker {middle(sorted(sizes)):.2f} MiB, coordinator {others[0]:.1f} MiB, "
        f"nursery {others[1]:.1f} MiB, together {sum(sizes) + sum(others):.0f} MiB"
    )
    print(
        f"  open files: coordinator {descriptors(coordinator)}, worker {descriptors(workers[0])}; "
        f"threads: coordinator {threads(coordinator)}, worker {threads(workers[0])}",
        flush=True,
    )


def middle(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def centiles(seconds: Sequence[float] | array[float]) -> str:
    """Return words for how long something takes."""
    ordered = sorted(seconds)
    if not ordered:
        return "nothing came"
    p50, p99, p999 = (ordered[int(len(ordered) * part)] for part in (0.5, 0.99, 0.999))
    return ", ".join(
        f"{name} {1000 * value:.1f} ms"
        for name, value in (("p50", p50), ("p99", p99), ("p99.9", p999), ("most", ordered[-1]))
    )


def halves(took: Sequence[float]) -> str:
    """Return words for when half of the shards and all of them had come back."""
    return f"all are RESUMED after {max(took):.2f} s, half of them after {middle(took):.2f} s"


if __name__ == "__main__":
    main()
