"""`gwcluster plan` as people run it, against the simulator's REST and a state folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gwcluster.identify.ledger import REFUSED, Ledger
from gwsimulator import Settings
from support.cluster import Cluster, running
from support.discord import discord


def plan(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "gwcluster", "plan", str(cluster.file), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def planned(cluster: Cluster) -> tuple[int, dict[str, Any]]:
    done = plan(cluster, "--json")
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, document


def test_a_cold_start_is_counted_timed_and_allowed_and_nothing_is_left_behind(tmp_path: Path) -> None:
    with discord(Settings(shards=64, max_concurrency=16)) as sim:
        cluster = Cluster(tmp_path, sim.api)
        status, document = planned(cluster)
        done = plan(cluster)
    assert (status, document["may_start"]) == (0, True)
    assert (document["shards"], document["resume"], len(document["identify"])) == (64, [], 64)
    assert (document["least_s"], document["max_concurrency"]) == (15.0, 16)
    assert (document["total"], document["remaining"], document["spendable"]) == (1000, 1000, 900)
    assert done.returncode == 0
    assert done.stdout.startswith("✓ e2e may start")
    assert "64 (0-63): 64 identifies, at least 15 s" in done.stdout
    assert not cluster.state.exists()
    assert {call.status for call in sim.ledger.rest_calls} == {200}


def test_a_budget_that_is_short_is_1_with_reason_and_remedy(tmp_path: Path) -> None:
    with discord(Settings(shards=64, max_concurrency=1, identifies_used=880)) as sim:
        done = plan(Cluster(tmp_path, sim.api))
    text = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert text.startswith("✗ e2e may start only in part")
    assert "64 of 64 shards need an IDENTIFY, and 20 may be spent: 120 of 1000 a day are left" in text
    assert "UTC), in 2" in text
    assert "44 shards wait until then" in text


def test_beside_a_running_cluster_it_tells_what_a_restart_costs_and_disturbs_nothing(tmp_path: Path) -> None:
    with discord(Settings(shards=2, max_concurrency=2)) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        status, document = planned(cluster)
        assert (status, document["may_start"]) == (0, True)
        assert (document["resume"], document["identify"]) == ([0, 1], [])
        assert document["running_pid"] == cluster.pid
        assert (document["spent_24h"], document["remaining"]) == (2, 998)
        before = cluster.text()
        assert f"process {cluster.pid}; this is about its restart" in plan(cluster).stdout
        sim.rest_fault(status=503, times=1)
        unanswered = plan(cluster)
        assert unanswered.returncode == 0, "a restart needs no answer"
        assert "doesn't answer" in unanswered.stdout
        assert cluster.text() == before
        assert cluster.stop() == 0


def test_a_token_that_discord_refuses_is_64(tmp_path: Path) -> None:
    with discord(Settings(token="another"), violated={"authorization"}) as sim:
        cluster = Cluster(tmp_path, sim.api)
        done, (status, document) = plan(cluster), planned(cluster)
    assert (done.returncode, status) == (64, 64)
    assert "refuses the token" in done.stdout
    assert (document["name"], document["may_start"]) == ("e2e", False)


def test_a_discord_that_does_not_answer_is_1_and_says_so(tmp_path: Path) -> None:
    status, document = planned(Cluster(tmp_path, "http://127.0.0.1:9/api/v10"))
    assert (status, document["may_start"]) == (1, False)
    assert "127.0.0.1" in document["unanswered"]


def test_shards_that_failed_before_make_a_start_as_slow_as_it_will_be(tmp_path: Path) -> None:
    with discord(Settings(shards=8, max_concurrency=8)) as sim:
        cluster = Cluster(tmp_path, sim.api)
        cluster.state.mkdir()
        ledger = Ledger(cluster.state / "identify.sqlite", clock=time.time)
        for number in range(100):
            permit = ledger.granted(number % 8, 8, number % 8, time.time())
            ledger.sent(permit, time.time())
            ledger.outcome(permit, REFUSED)
        ledger.close()
        status, document = planned(cluster)
    assert (status, document["failing"], document["spent_24h"]) == (1, 8, 100)
    assert "one of them tries every 5 min" in document["hitches"][0]["reason"]
    assert 270.0 < document["least_s"] <= 300.0


def test_without_discord_a_count_that_is_set_is_planned_all_the_same(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "http://127.0.0.1:9/api/v10", shards="{count: 3}")
    done, (_, document) = plan(cluster), planned(cluster)
    assert done.returncode == 1
    assert done.stdout.startswith("✗ e2e can't start before Discord answers")
    assert (document["shards"], document["identify"], document["least_s"]) == (3, [0, 1, 2], None)


def test_a_discord_that_must_not_be_asked_is_not_asked(tmp_path: Path) -> None:
    with discord(Settings(shards=2)) as sim:
        cluster = Cluster(tmp_path, sim.api)
        cluster.state.mkdir()
        ledger = Ledger(cluster.state / "identify.sqlite", clock=time.time)
        ledger.set_not_before(time.time() + 7000.0)
        ledger.close()
        status, document = planned(cluster)
        assert sim.ledger.rest_calls == []
    assert status == 1
    assert document["not_before"] is not None
    assert "not to ask again before" in document["unanswered"]


def test_a_bad_file_is_78(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "http://127.0.0.1:9/api/v10", shards="{count: 0}")
    done = plan(cluster)
    assert (done.returncode, done.stdout) == (78, "")
    assert "shards.count" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_ledger_that_can_not_be_read_is_1_with_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    cluster = Cluster(tmp_path, "http://127.0.0.1:9/api/v10")
    cluster.state.mkdir()
    (cluster.state / "identify.sqlite").write_bytes(b"no database" * 1000)
    done = plan(cluster, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"identify ledger {cluster.state}/identify.sqlite: ")
    assert done.stderr.count("\n") == 1
