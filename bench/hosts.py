"""What a host of several costs beside one host (does): logs in NATS JetStream beside logs in files.

One gwcluster host, a gateway and a subscriber, and one or three NATS servers, all on this machine and on
loopback. Memory needs root, as nobody else may look into the cluster's processes. Machines are noisy: compare
only what ran together. `load` is many shards with few events each, `rate` one shard with many, `streams` what
a NATS server holds in memory for each shard.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.accounts import grew
from bench.hosts_table import FILES, Row, centiles_ms, cpu_us, for_each, in_order, lines
from bench.nats import Nats
from bench.programs import PROGRAMS, Program
from bench.rig import Load, Phase, Rig, rig
from bench.running import Cluster, Place, Running
from bench.schedule import Pace
from bench.search import Search

TRANSPORT = "zlib-stream"
SETTLE_S = 1.5
WARM_S = 2.0
BURSTS_PER_S = 50
"""At a high rate, as in bench/plan.py."""

PARTS = ("load", "rate", "streams")
NATS = "NATS"

MODES = {FILES: (0, ""), "1 server": (1, "1s"), "3 servers": (3, "1s"), "3, sync always": (3, "always")}
"""Servers, and their sync_interval."""


class Host(Cluster):
    """A host of several, alone, with its NATS servers."""

    def __init__(self, place: Place, servers: int, sync: str, lease: str) -> None:
        self.nats = Nats(place.folder / "nats", servers, sync)
        urls = ", ".join(f"'{url}'" for url in self.nats.urls)
        super().__init__(place, f"hosts: {{nats: [{urls}], name: a, lease: {lease}}}\n")

    def start(self) -> None:
        self.nats.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.nats.stop()

    def parts(self) -> dict[str, list[int]]:
        return {**super().parts(), NATS: self.nats.pids}


def program(mode: str, lease: str) -> Program:
    """Return gwcluster in a mode; a host claims its first shards a lease after its start."""
    ours = PROGRAMS["gwcluster"]
    servers, sync = MODES[mode]

    def make(place: Place) -> Running:
        return Host(place, servers, sync, lease) if servers else Cluster(place)

    return Program(mode, mode, ours.language, ours.transports, True, make, ours.version)


@dataclass(slots=True)
class Measured:
    """What was found of each mode, by the row's label, in the order of the rows."""

    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, mode: str, label: str, figure: float) -> None:
        self.rows.setdefault(label, {})[mode] = figure

    def take_all(self, mode: str, figures: dict[str, float]) -> None:
        for label, figure in figures.items():
            self.take(mode, label, figure)

    def phase(self, mode: str, phase: Phase) -> None:
        """Take in what a phase cost and how long its events took."""
        self.problems += [f"{mode}: {problem}" for problem in phase.problems()]
        for part, used in cpu_us(phase.cpu, max(len(phase.received), 1)).items():
            self.take(mode, f"CPU, µs an event: {part}", used)
        for name, value in centiles_ms(phase.latencies()).items():
            self.take(mode, f"latency, ms: {name}", value)

    def show(self, title: str, modes: Sequence[str]) -> None:
        """Print all of it."""
        rows = [Row(label, self.rows[label]) for label in in_order(self.rows)]
        print("\n" + "\n".join(lines(title, modes, rows)))
        for problem in self.problems:
            print(f"  {problem}")
        print(end="", flush=True)


def worker_mib(up: Rig) -> float:
    """Return the PSS of the middle worker."""
    return statistics.median(up.pss_mb()["workers"])


def servers_mib(up: Rig) -> dict[str, float]:
    """Return the PSS of the largest NATS server; nothing where there is none."""
    sizes = up.pss_mb().get(NATS, [])
    return {"memory, MiB: the largest NATS server, afterwards": max(sizes)} if sizes else {}


def idle_percent(up: Rig, seconds: float) -> float:
    """Return the share of a core that all parts use without events."""
    before = sum(up.cpu().values())
    time.sleep(seconds)
    return 100 * (sum(up.cpu().values()) - before) / seconds


def load(modes: Sequence[str], args: argparse.Namespace) -> None:
    """Many shards with few events each, and what the workers hold before and after."""
    warm, measured = (int(seconds * args.rate) for seconds in (WARM_S, args.seconds))
    found = Measured()
    for mode in modes:
        with rig(
            program(mode, args.lease), Load(TRANSPORT, shards=args.shards, events=warm + measured)
        ) as up:
            time.sleep(SETTLE_S)
            found.take(mode, "without events: % of a core", idle_percent(up, args.idle_seconds))
            found.take(mode, "memory, MiB: a worker, idle", worker_mib(up))
            up.phase(Pace(warm, args.rate))
            found.phase(mode, up.phase(Pace(measured, args.rate)))
            found.take(mode, "memory, MiB: a worker, afterwards", worker_mib(up))
            found.take_all(mode, servers_mib(up))
    found.show(f"{args.shards} shards, {args.rate:g} events/s each", modes)


def rate(modes: Sequence[str], args: argparse.Namespace) -> None:
    """One shard: the same high rate in each mode, then the highest that holds."""
    found = Measured()
    for mode in modes:
        with rig(program(mode, args.lease), Load(TRANSPORT, events=args.events)) as up:
            time.sleep(SETTLE_S)
            burst = max(round(args.high / BURSTS_PER_S), 1)
            up.phase(Pace(int(args.high * WARM_S / 2), args.high, burst))
            found.phase(mode, up.phase(Pace(int(args.high * args.high_seconds), args.high, burst)))
            found.take(mode, "rate: the highest that holds", highest(up, args.high, args.step_seconds))
            found.take(mode, "memory, MiB: the worker, afterwards", worker_mib(up))
            found.take_all(mode, servers_mib(up))
    found.show(f"1 shard, {args.high:,.0f} events/s", modes)


def highest(up: Rig, first: float, seconds: float) -> float:
    """Return the highest rate at which nothing is lost and latency doesn't grow, as far as events suffice."""
    search = Search(first, ceiling=16 * first, precision=0.15)
    while search.rate is not None and (count := int(search.rate * seconds)) <= up.left:
        phase = up.phase(Pace(count, search.rate, max(round(search.rate / 500), 1)))
        search.told(not phase.problems() and not grew(phase.latencies()))
    return search.best


def streams(modes: Sequence[str], args: argparse.Namespace) -> None:
    """What a NATS server holds with few shards and with many, after some events of each."""
    count = max(int(args.rate * args.stream_seconds), 1)
    for mode in [mode for mode in modes if mode in {"1 server", "3 servers"}]:
        held: dict[int, float] = {}
        for shards in args.streams:
            with rig(program(mode, args.lease), Load(TRANSPORT, shards=shards, events=count)) as up:
                idle = max(up.pss_mb()[NATS])
                up.phase(Pace(count, args.rate))
                held[shards] = max(up.pss_mb()[NATS])
                print(
                    f"\n{mode}, {shards} streams: {idle:.1f} MiB for the largest server, "
                    f"{held[shards]:.1f} MiB after {count} events of each",
                    flush=True,
                )
        print(f"{mode}: {for_each(held, 2):.2f} MiB for each stream", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    parser.add_argument("--lease", default="15s", help="as in cluster.yaml")
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--rate", type=float, default=20.0, help="events a second and shard")
    parser.add_argument("--seconds", type=float, default=8.0, help="of that load")
    parser.add_argument("--idle-seconds", type=float, default=4.0, help="of the time without events")
    parser.add_argument("--high", type=float, default=4_000.0, help="events a second of the one shard")
    parser.add_argument("--high-seconds", type=float, default=2.0)
    parser.add_argument("--step-seconds", type=float, default=0.8, help="of each rate that is tried")
    parser.add_argument("--events", type=int, default=200_000, help="that there are for the one shard")
    parser.add_argument("--streams", type=int, nargs=2, default=[16, 64])
    parser.add_argument("--stream-seconds", type=float, default=5.0)
    args = parser.parse_args()
    print(
        f"{os.cpu_count()} cores for host, NATS, gateway and subscriber; 1.2 KB MESSAGE_CREATE, {TRANSPORT}"
    )
    if "load" in args.parts:
        load([mode for mode in args.modes if MODES[mode][1] != "always"], args)
    if "rate" in args.parts:
        rate(args.modes, args)
    if "streams" in args.parts:
        streams(args.modes, args)


if __name__ == "__main__":
    main()
