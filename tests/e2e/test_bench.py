"""The harness measures: gwcluster, a library in Python and one in Node, for some tenths of seconds each."""

from __future__ import annotations

import dataclasses
import sys

import pytest

from bench import measure, plan, table
from bench.__main__ import TITLES, run
from bench.programs import PROGRAMS, Program, python

TINY = dataclasses.replace(
    plan.QUICK, cost_s=0.1, latency={2_000: 0.1}, warm_s=0.1, settle_s=0.3, idle_s=0.1, shards=(2,)
)
HIKARI = dataclasses.replace(
    PROGRAMS["hikari"], make=python("hikari", "hikari_bot.py", "-OO", interpreter=[sys.executable])
)


@pytest.mark.e2e
@pytest.mark.parametrize("program", [PROGRAMS["gwcluster"], HIKARI], ids=["gwcluster", "hikari"])
def test_a_program_is_measured_and_loses_nothing(program: Program) -> None:
    measures = {name: measure.MEASURES[name] for name in ("cost", "latency", "memory")}
    results = run(measures, [program], TINY)
    assert [cell.problems for cell in results.cells.values()] == [[], [], []]
    cost = results.median("cost", "chat, zlib-stream", program.name, "all")
    assert cost is not None
    assert 1 < cost < 2_000
    half, almost = (
        results.median("latency", "2,000 events/s", program.name, name) for name in ("p50", "p99")
    )
    assert half is not None
    assert almost is not None
    assert 0 < half <= almost
    memory = results.median("memory", "2 shards, idle", program.name, "all")
    assert memory is not None
    assert 10 < memory < 500
    assert any(line.startswith("| chat, zlib-stream: µs") for line in table.everything(results, TITLES))


@pytest.mark.e2e
def test_a_library_in_node_is_installed_and_measured() -> None:
    results = run({"cost": measure.MEASURES["cost"]}, [PROGRAMS["discordeno"]], TINY)
    (cell,) = results.cells.values()
    assert cell.problems == []
    assert cell.runs
