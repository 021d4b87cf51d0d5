"""What an operator does to a cluster that runs: real processes, and a simulator that keeps the ledger."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from gwcluster import connect
from gwsimulator import Settings
from support import hangups
from support.cluster import Cluster, children, is_alive, kill, running, subscribed, until
from support.discord import discord

pytestmark = pytest.mark.e2e


def requests_of(cluster: Cluster) -> str:
    return f"ipc://{cluster.folder}/requests"


def shard_of(cluster: Any, shard: int) -> dict[str, Any]:
    found: dict[str, Any] = cluster.status()["shard"][shard]
    return found


def test_a_rolling_restart_of_16_shards_costs_no_identify_and_loses_nothing(tmp_path: Path) -> None:
    settings = Settings(shards=16, guilds=64, rate=60.0, max_concurrency=16)
    with (
        discord(settings) as sim,
        running(tmp_path, sim.api) as cluster,
        subscribed(cluster.events) as receive,
        connect(cluster.file) as asked,
    ):
        cluster.wait_ready()
        before, nursery = cluster.workers(16), cluster.nursery
        told = until(lambda: (s := asked.status())["guilds"] == 64 and s, "all guilds to be counted") or {}
        session_age_s = told["shard"][0]["session_age_s"]
        started_at = time.monotonic()
        asked.restart(rolling=True)
        rolled = until(lambda: asked.status()["rolled"], "its end", 60.0) or {}
        took_s = time.monotonic() - started_at
        print(f"16 shards, one after the other: {took_s:.1f} s")  # noqa: T201
        assert (rolled["done"], rolled["total"], rolled["why"]) == (16, 16, None)
        after = cluster.workers(16)
        assert set(before.values()).isdisjoint(after.values())
        until(lambda: nursery not in children(cluster.pid), "the end of the old nursery")
        assert len(children(cluster.pid)) == 1
        assert all(is_alive(pid) for pid in cluster.everything()), "no zombies"
        told = until(lambda: (s := asked.status())["guilds"] == 64 and s, "the same guilds") or {}
        assert told["shard"][0]["session_age_s"] > session_age_s
        assert (told["ready"], {one["deaths"] for one in told["shard"]}) == (16, {0})
        for shard in range(16):
            sim.emit("TYPING_START", {"last": True}, shard=shard)
        got: dict[int, list[int]] = defaultdict(list)
        ends = set[int]()
        deadline = time.monotonic() + 20.0
        while len(ends) < 16 and time.monotonic() < deadline:
            if (message := receive(0.5)) is not None and message.header["seq"] is not None:
                got[message.shard].append(message.header["seq"])
                if b'"last":true' in message.payload:
                    ends.add(message.shard)
        assert len(ends) == 16
        for shard in range(16):  # nobody asked for a replay: PUB itself had them all, once and in order
            assert got[shard] == list(range(got[shard][0], got[shard][-1] + 1))
        assert len(sim.ledger.identifies) == 16
        assert [one.outcome for one in sim.ledger.resumes] == ["resumed"] * 16
        assert cluster.stop() == 0


def test_new_code_that_can_not_be_loaded_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_code = tmp_path / "path"
    new_code.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(new_code))
    with (
        discord(Settings(shards=2, guilds=4, rate=20.0, max_concurrency=2)) as sim,
        running(tmp_path, sim.api) as cluster,
        connect(cluster.file) as asked,
    ):
        cluster.wait_ready()
        before = cluster.workers(2)
        (new_code / "gwworker.py").write_text("raise SystemExit(3)\n")
        asked.restart(rolling=True)
        rolled = until(lambda: asked.status()["rolled"], "its end") or {}
        assert (rolled["done"], rolled["why"]) == (0, "the new nursery ended with status 3")
        assert cluster.workers(2) == before
        assert len(sim.ledger.resumes) == 0
        kill(before[1])  # and whoever dies now has a successor of the old code
        until(lambda: len(sim.ledger.resumes) == 1, "a resume")
        assert len(sim.ledger.identifies) == 2
        assert cluster.stop() == 0


def test_an_operators_restart_wakes_a_shard_that_waits_to_dial_again(tmp_path: Path) -> None:
    with (
        discord(Settings(shards=2, guilds=4, rate=20.0, max_concurrency=2)) as sim,
        running(tmp_path, sim.api) as cluster,
        connect(cluster.file) as asked,
    ):
        cluster.wait_ready()
        sim.refuse_upgrades(503, times=None)
        sim.abort(1)
        until(lambda: shard_of(asked, 1)["state"] == "backoff", "its backoff")
        time.sleep(4.0)  # the wait has doubled a few times
        sim.answer_dials()
        asked.restart(shard=1)
        until(lambda: shard_of(asked, 1)["state"] == "live", "the shard", 5.0)
        assert cluster.stop() == 0


def test_a_worker_that_is_stopped_is_not_ready_soon_and_is_replaced_in_the_end(tmp_path: Path) -> None:
    with (
        discord(Settings(shards=2, guilds=4, rate=20.0, max_concurrency=2)) as sim,
        running(tmp_path, sim.api) as cluster,
        connect(cluster.file) as asked,
    ):
        cluster.wait_ready()
        victim = cluster.workers(2)[1]
        os.kill(victim, signal.SIGSTOP)
        until(lambda: not shard_of(asked, 1)["fresh"], "stale figures")
        found = asked.status()
        assert (found["ready"], found["shard"][1]["state"], found["shard"][0]["fresh"]) == (1, "live", True)
        until(lambda: shard_of(asked, 1)["fresh"], "a successor", 40.0)
        assert cluster.workers(2)[1] != victim
        assert shard_of(asked, 1)["deaths"] == 1
        assert len(sim.ledger.identifies) == 2
        assert cluster.stop() == 0


def test_sighup_takes_what_can_change_and_says_what_can_not_and_a_broken_file_changes_nothing(
    tmp_path: Path,
) -> None:
    with (
        hangups.heard(),
        discord(Settings(shards=1, guilds=2, rate=20.0)) as sim,
        running(tmp_path, sim.api, supervision="{restarts: 5}") as cluster,
        connect(cluster.file) as asked,
    ):
        cluster.wait_ready()
        assert asked.status()["reloaded_at"] is None
        good = cluster.file.read_text()
        cluster.file.write_text(good + "presence: {status: loud}\n")
        os.kill(cluster.pid, signal.SIGHUP)
        until(lambda: "the configuration isn't reloaded, all stays as it is" in cluster.text(), "the refusal")
        assert asked.status()["reloaded_at"] is None
        changed = (
            good.replace("{restarts: 5}", "{restarts: 0}") + "presence: {status: idle}\nshards: {count: 1}\n"
        )
        cluster.file.write_text(changed)
        os.kill(cluster.pid, signal.SIGHUP)
        until(lambda: asked.status()["reloaded_at"], "the reload")
        assert "supervision.restarts has changed, and holds from now on" in cluster.text()
        assert "shards.count has changed in the file: that needs another start" in cluster.text()
        assert asked.status()["reloaded_at"] <= time.time()
        kill(cluster.workers(1)[0])  # one death is one too many by now
        assert cluster.process is not None
        assert cluster.process.wait(20) == 1
        assert "died 1 times within 60 s: failed" in cluster.text()


def test_a_shard_that_dies_too_often_fails_alone_leaves_no_zombie_and_is_revived_by_an_operator(
    tmp_path: Path,
) -> None:
    with (
        discord(Settings(shards=2, guilds=4, rate=100.0, max_concurrency=2)) as sim,
        running(tmp_path, sim.api, supervision="{restarts: 1}") as cluster,
        connect(cluster.file) as asked,
    ):
        cluster.wait_ready()
        events = asked.subscribe(shards=[0])
        other = cluster.workers(2)[0]
        for _ in range(2):
            until(lambda: shard_of(asked, 1)["state"] == "live", "shard 1")
            victim = shard_of(asked, 1)["pid"]
            kill(victim)
            until(lambda pid=victim: shard_of(asked, 1)["pid"] != pid, "its burial")  # type: ignore[misc]
        found = until(lambda: (one := shard_of(asked, 1))["state"] == "failed" and one, "its failure") or {}
        assert (found["deaths"], found["pid"], found["fresh"]) == (2, None, False)
        assert "died 2 times within 60 s" in found["reason"]
        assert all(is_alive(pid) for pid in cluster.everything())
        assert (asked.status()["ready"], asked.status()["failed"]) == (1, 1)
        assert cluster.workers(1) == {0: other}
        heard = [event for event in (events.poll(20.0) for _ in range(60)) if event is not None]
        offsets = [event.offset for event in heard if event.name != "GWCLUSTER_CLUSTER_STATE"]
        assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
        assert len(offsets) > 40
        asked.restart(1)
        until(lambda: shard_of(asked, 1)["state"] == "live", "its revival")
        assert len(sim.ledger.identifies) == 2
        assert cluster.stop() == 0
