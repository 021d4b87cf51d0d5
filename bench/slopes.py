"""How the cost grows with shards and with events (does): a line through several points, for sizing."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.gauges import Use, memory_mib
from bench.scratch import scratch
from bench.stage import Stage

SHARDS = (16, 64, 128, 256)
RATES = (0.0, 5.0, 20.0, 50.0)
SETTLE_S = 3.0
MOST_EVENTS = 5_500
"""A second: more than that, gateway and subscriber included, doesn't fit on two cores."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: of a number of shards, with so many events a second in all."""

    shards: int
    events_per_s: float
    workers: float
    coordinator: float
    workers_mib: float
    coordinator_mib: float


def slopes(most: int, seconds: float) -> None:
    """Measure with up to `most` shards, each time for so many seconds, and print what one more costs."""
    points = [
        point
        for shards in SHARDS
        if shards <= most
        for point in measure(shards, [rate for rate in RATES if rate * shards <= MOST_EVENTS], seconds)
    ]
    quiet = [point for point in points if not point.events_per_s]
    shards = [float(point.shards) for point in quiet]
    worker, _ = line(shards, [point.workers for point in quiet])
    pulse, base = line(shards, [point.coordinator for point in quiet])
    mib, shared = line(shards, [point.workers_mib for point in quiet])
    more_mib, base_mib = line(shards, [point.coordinator_mib for point in quiet])
    busy = [point for point in points if point.events_per_s]
    rates = [point.events_per_s for point in busy]
    event = through_zero(rates, [point.workers - worker * point.shards for point in busy])
    passed_on = through_zero(rates, [point.coordinator - base - pulse * point.shards for point in busy])
    print(
        f"\nan idle shard costs {worker + pulse:.3f} % of a core "
        f"(worker {worker:.3f}, coordinator {pulse:.3f})\n"
        f"  and {mib + more_mib:.2f} MiB (coordinator {more_mib:.2f}); "
        f"without any there are {shared + base_mib:.0f} MiB\n"
        f"an event costs {1e4 * (event + passed_on):.0f} µs "
        f"(worker {1e4 * event:.0f}, coordinator {1e4 * passed_on:.0f})"
    )


def measure(shards: int, rates: Sequence[float], seconds: float) -> list[Point]:
    """Return a point for each rate."""
    found: list[Point] = []
    with scratch(os.getpid()) as folder, Stage(folder, shards, shards) as stage:
        stage.ready_s()
        for rate in rates:
            stage.flow(rate)
            time.sleep(SETTLE_S)
            before, events = stage.uses(), sum(stage.account()["events"])
            time.sleep(seconds)
            after, events = stage.uses(), sum(stage.account()["events"]) - events
            uses: dict[str, Use] = {kind: after[kind].since(before[kind]) for kind in after}
            found.append(
                Point(
                    shards=shards,
                    events_per_s=events / seconds,
                    workers=uses["workers"].percent,
                    coordinator=uses["coordinator"].percent,
                    workers_mib=sum(map(memory_mib, [*stage.workers, stage.nursery])),
                    coordinator_mib=memory_mib(stage.coordinator),
                )
            )
            show(found[-1], sum(use.percent for use in uses.values()))
        stage.flow(0)
        stage.stop_s()
    return found


def show(point: Point, together: float) -> None:
    """Print a point."""
    cpu = point.workers + point.coordinator
    each = f", {1e4 * cpu / point.events_per_s:4.0f} µs an event" if point.events_per_s else ""
    print(
        f"{point.shards:4} shards, {point.events_per_s:5.0f} events/s: "
        f"workers {point.workers:6.2f} % of a core, coordinator {point.coordinator:5.2f} %{each};\n"
        f"  workers and nursery {point.workers_mib:.0f} MiB, coordinator {point.coordinator_mib:.0f} MiB; "
        f"with gateway and subscriber {together:.0f} %",
        flush=True,
    )


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return slope and intercept of the line through points."""
    if len(x) < 2:
        return y[0] / x[0], 0.0
    return statistics.linear_regression(x, y)


def through_zero(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of the line through zero."""
    return statistics.linear_regression(x, y, proportional=True).slope if len(x) > 1 else y[0] / x[0]
