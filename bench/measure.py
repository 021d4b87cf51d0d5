"""Measures (does): each function starts a program, and returns figures and what was wrong, by row."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bench import plan, traffic
from bench.accounts import grew
from bench.figures import percentile
from bench.plan import Plan
from bench.processes import until
from bench.programs import Program
from bench.rig import Load, Phase, Rig, rig
from bench.running import Cluster
from bench.schedule import Pace
from bench.search import Search

COMMON: Final = "zlib-stream"
"""The transport that every program can do."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one run gave for a row: figures, or what was wrong."""

    row: str
    figures: dict[str, float]
    problems: list[str]
    cannot: str = ""


def cost(program: Program, plan_: Plan) -> Iterator[Found]:
    """CPU per event at full rate, in µs, by part of the program, and the rate that it took."""
    for mix, transport in plan_.cost:
        row = f"{mix}, {transport}"
        if transport not in program.transports:
            yield Found(row, {}, [], f"no {transport}")
            continue
        rate = plan.EVENTS_PER_S[mix]
        burst = rate // plan.BURSTS_PER_S
        warm, measured = (int(seconds * rate) for seconds in (plan_.warm_s, plan_.cost_s))
        with rig(program, Load(transport, mix, events=warm + measured)) as up:
            time.sleep(plan_.settle_s)
            up.phase(Pace(warm, rate, burst))
            phase = up.phase(Pace(measured, rate, burst))
        yield Found(row, {**_cpu(phase), "rate": len(phase.received) / phase.seconds}, phase.problems())


def load(program: Program, plan_: Plan) -> Iterator[Found]:
    """CPU per event of 64 shards with 20 events/s each, in µs."""
    warm, measured = (int(seconds * plan.LOAD_RATE) for seconds in (plan_.warm_s, plan_.load_s))
    with rig(program, Load(COMMON, shards=plan_.load_shards, events=warm + measured)) as up:
        time.sleep(plan_.settle_s)
        up.phase(Pace(warm, plan.LOAD_RATE))
        phase = up.phase(Pace(measured, plan.LOAD_RATE))
    yield Found(f"chat, {COMMON}", _cpu(phase), phase.problems())


def rate(program: Program, plan_: Plan) -> Iterator[Found]:
    """The highest rate at which nothing is lost and latency doesn't grow, in events/s."""
    search = Search(8_000, ceiling=128_000)
    problems: list[str] = []
    while search.rate is not None:
        held, problems = _holds(program, search.rate, plan_)
        if any("sender" in problem for problem in problems):
            break
        search.told(held)
    said = [problem for problem in problems if "sender" in problem]
    figures = {"rate": search.best, **({"more": 1.0} if search.reached_ceiling else {})}
    yield Found(f"chat, {COMMON}", figures, said)


def _holds(program: Program, events_per_s: float, plan_: Plan) -> tuple[bool, list[str]]:
    """Say whether a rate holds, and what was wrong."""
    burst = max(round(events_per_s / 500), 1)
    count = int(events_per_s * plan_.rate_s)
    warm = int(events_per_s / 2)
    with rig(program, Load(COMMON, events=count + warm)) as up:
        time.sleep(plan_.settle_s)
        up.phase(Pace(warm, events_per_s / 2, burst))
        phase = up.phase(Pace(count, events_per_s, burst))
    problems = phase.problems()
    return not problems and not grew(phase.latencies()), problems


def memory(program: Program, plan_: Plan) -> Iterator[Found]:
    """PSS in MiB: of everything, for each shard, and of the middle worker."""
    for shards in plan_.shards:
        with rig(program, Load(COMMON, shards=shards)) as up:
            time.sleep(plan_.idle_s)
            yield Found(f"{_shards(shards)}, idle", _pss(up), [])
    for shards in plan_.start_shards.get(program.name, plan_.start_shards[""]):
        told = traffic.MIXES["start"].told
        with rig(program, Load(COMMON, "start", shards, events=told)) as up:
            time.sleep(plan_.settle_s)
            phase = up.phase(Pace(told, 0.0), patience_s=300.0)
            time.sleep(plan_.idle_s)
            yield Found(
                f"{_shards(shards)}, after {told:,} guilds on each", _pss(up), phase.account.problems()
            )


def latency(program: Program, plan_: Plan) -> Iterator[Found]:
    """Milliseconds that half, 99 % and 99.9 % of the events stay below."""
    counts = {events: int(events * seconds) for events, seconds in plan_.latency.items()}
    warm = int(plan_.warm_s * 2_000)
    with rig(program, Load(COMMON, events=warm + sum(counts.values()))) as up:
        time.sleep(plan_.settle_s)
        up.phase(Pace(warm, 2_000))
        for events, count in counts.items():
            phase = up.phase(Pace(count, events))
            times = [1000 * seconds for seconds in phase.latencies()]
            figures = {
                name: percentile(times, share)
                for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
                if times
            }
            yield Found(f"{events:,} events/s", figures, phase.problems())


def start(program: Program, plan_: Plan) -> Iterator[Found]:
    """Seconds from the start of the program to its last READY, and over the least that Discord allows."""
    shards, limit = plan_.start
    with rig(program, Load(COMMON, shards=shards, max_concurrency=limit)) as up:
        marks, began = up.gateway.marks(), up.started_ns
    ready = [mark.at for mark in marks if mark.what == "ready"]
    refused = sum(mark.what == "refused" for mark in marks)
    least = 5.0 * (-(-shards // limit) - 1)
    seconds = (max(ready) - began) / 1e9
    problems = [f"{refused} identifies were refused"] if refused else []
    yield Found(f"{shards} shards", {"seconds": seconds, "over": seconds - least}, problems)


def recovery(program: Program, plan_: Plan) -> Iterator[Found]:
    """Milliseconds from SIGKILL to RESUMED, or to READY where no session is kept."""
    if program.keeps_session:
        yield _worker_kills(program, plan_)
        yield _coordinator_kill(program, plan_)
    else:
        yield _process_kills(program, plan_.peer_kills)


def _worker_kills(program: Program, plan_: Plan) -> Found:
    shards, kills = plan_.kill_shards, plan_.kills
    times: list[float] = []
    seconds = kills * 2.0 + 30.0
    with rig(program, Load(COMMON, shards=shards, events=int(seconds * plan.LOAD_RATE))) as up:
        assert isinstance(up.program, Cluster)
        time.sleep(plan_.settle_s)
        up.gateway.send(Pace(int(seconds * plan.LOAD_RATE), plan.LOAD_RATE))
        for number in range(kills):
            time.sleep(0.7)
            shard = number % shards
            times.append(_after_kill(up, up.program.workers()[shard], "resumed", {shard}) / 1e6)
        identified = sum(mark.what == "identify" for mark in up.gateway.marks())
    problems = [f"{identified - shards} shards identified again"] if identified > shards else []
    return Found("a worker", _kills(times), problems)


def _coordinator_kill(program: Program, plan_: Plan) -> Found:
    shards = plan_.load_shards
    with rig(program, Load(COMMON, shards=shards)) as up:
        time.sleep(plan_.settle_s)
        times = [_after_kill(up, up.program.pid, "resumed", set(range(shards)), again=True) / 1e6]
    return Found(f"the whole program, {shards} shards", _kills(times), [])


def _process_kills(program: Program, kills: int) -> Found:
    times = []
    with rig(program, Load(COMMON)) as up:
        for _ in range(kills):
            time.sleep(6.0)  # the next IDENTIFY must not be too soon
            times.append(_after_kill(up, up.program.pid, "ready", {0}, again=True) / 1e6)
    return Found("the whole program, 1 shard", _kills(times), [])


def _after_kill(up: Rig, pid: int, what: str, shards: set[int], *, again: bool = False) -> float:
    """Kill a process, start the program `again` if nobody else does; return the ns until all are back."""
    began = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    if again:
        up.program.reap()
        up.program.start()

    def back() -> list[int]:
        at = {mark.shard: mark.at for mark in up.gateway.marks() if mark.what == what and mark.at > began}
        return [at[shard] for shard in shards] if at.keys() >= shards else []

    return max(until(back, f"{what} after a kill")) - began


def _kills(times: list[float]) -> dict[str, float]:
    return {"p50": percentile(times, 0.5), "p99": percentile(times, 0.99), "kills": float(len(times))}


def _cpu(phase: Phase) -> dict[str, float]:
    """Return µs for each event that came, of all processes and of each kind, and the sender's share in %."""
    events = max(len(phase.received), 1)
    parts = {part: used / events * 1e6 for part, used in phase.cpu.items()}
    return {**parts, "all": sum(parts.values()), "sender": 100 * phase.sender.cpu}


def _pss(up: Rig) -> dict[str, float]:
    parts = up.pss_mb()
    total = sum(map(sum, parts.values()))
    middle = {"worker": statistics.median(parts["workers"])} if "workers" in parts else {}
    return {"all": total, "shard": total / up.load.shards, **middle}


def _shards(count: int) -> str:
    return "1 shard" if count == 1 else f"{count} shards"


Measure = Callable[[Program, Plan], Iterator[Found]]

MEASURES: Final[dict[str, Measure]] = {
    "cost": cost,
    "load": load,
    "rate": rate,
    "memory": memory,
    "latency": latency,
    "start": start,
    "recovery": recovery,
}
