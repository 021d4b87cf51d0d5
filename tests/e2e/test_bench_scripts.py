"""What `scripts/bench` measures beside the peers works: each for a second, at its smallest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


def bench(*words: str) -> str:
    """Run a measurement; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_budget_has_a_cost_for_each_step() -> None:
    lines = bench("bench.budget", "--events", "300").splitlines()
    tables = [at for at, line in enumerate(lines) if "events of 1 KB" in line]
    assert len(tables) == 9, "three transports, three sizes of reads"
    for at in tables:
        ours = [float(line[28:36]) for line in lines[at + 2 : at + 10]]
        assert ours[-1] == pytest.approx(sum(ours[:-1]), abs=0.05)
        assert ours[-1] > 0.5


def test_the_floor_is_measured_in_each_way() -> None:
    out = bench("bench.floor", "--processes", "2", "--rate", "100", "--seconds", "0.3")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["epoll", "uvloop", "asyncio"]
    assert all(float(line.split()[-1]) > 0 for line in out.splitlines()[1:])


def test_hundreds_of_shards_could_be_measured() -> None:
    out = bench(
        "bench.scale", *["--shards", "2", "--seconds", "1", "--quiet-seconds", "1", "--parts", "load"]
    )
    assert "\n  0 events of the gateway's account are not in the logs" in out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at the memory of gwcluster's processes")
def test_memory_is_measured_before_and_after_the_guilds() -> None:
    out = bench("bench.memory", "--shards", "1", "--over", "wss", "--guilds", "0", "20", "--settle", "0.2")
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [["1", "wss", "0"], ["1", "wss", "20"]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at the memory of gwcluster's processes")
@pytest.mark.soak
def test_logs_in_nats_are_measured_beside_logs_in_files() -> None:
    tiny = ["--modes", "files", "1 server", "--shards", "2", "--seconds", "0.5", "--idle-seconds", "0.2"]
    tiny += ["--lease", "5s"]  # a host waits so long before it claims its first shards
    out = bench(
        "bench.hosts", "--parts", "load", "streams", "--streams", "1", "2", "--stream-seconds", "0.1", *tiny
    )
    figures = {line[:52].strip(): line[52:].split() for line in out.splitlines()}
    assert float(figures["CPU, µs an event: NATS"][1]) > 0
    assert figures["CPU, µs an event: NATS"][0] == "–"
    assert float(figures["latency, ms: p99"][0]) > 0
    assert "for each stream" in out
    assert "lost" not in out
