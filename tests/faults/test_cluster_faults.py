"""F107 to F111: workers that clash, crash or lose their coordinator, and shard counts that can't be had."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gwcluster.identify.start import StartError
from gwcluster.log import Reader
from gwcluster.log.lock import take_folder
from gwcluster.state_folder import StateFolderError
from gwcluster.supervise.nursery_link import NurseryLink
from gwcluster.wire.control import Message
from gwcluster.wire.exits import WorkerExit
from gwsimulator import Settings, ThreadedSimulator
from gwsimulator.controls import Controls
from gwsimulator.rules import Gateway
from gwsimulator.virtual_time import START
from support.cluster import Cluster, is_alive, kill, running, until
from support.discord import discord
from support.jobs import job
from support.scene import Scene, stage


def leave(sim: Controls, identifies: int) -> None:
    """Let so many of the day's IDENTIFYs be left; other programs with the same token had the rest."""

    def order(gateway: Gateway, now: float) -> list[Any]:
        daily = gateway.handshake.daily
        daily.used_before += daily.remaining(now) - identifies
        return []

    sim.order(order)


def in_log(state: Path, shard: int = 0) -> list[tuple[int, bytes]]:
    records = Reader(state / "shards" / str(shard)).records()
    return [(one.seq, one.payload) for one in records if one.seq is not None]


def made(sim: ThreadedSimulator, shard: int = 0) -> list[tuple[int, bytes]]:
    return [(one.seq, one.payload or b"") for one in sim.ledger.dispatches(shard=shard)]


# Two who claim one shard


def test_f107_a_worker_whose_log_another_process_writes_never_dials_and_comes_back_later(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        other = take_folder(tmp_path / "state" / "shards" / "0")
        await scene.start()
        await scene.until(lambda: scene.crew.supervisor.died(0) >= 3)
        busy = "shard 0: the worker found its log held by another process (status 75)"
        assert len(scene.story(busy).splitlines()) == 3
        assert "no identify was spent" in scene.story(busy)
        assert scene.sim.ledger.connections == []
        os.close(other)  # the kernel does that when the other one dies
        await scene.live()
        assert len(scene.sim.ledger.connections) == 1
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, start=False)


def test_f107_one_who_never_lets_go_fails_that_shard_and_no_other(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        other = take_folder(tmp_path / "state" / "shards" / "0")
        await scene.start()
        await scene.live(1)
        await scene.run_for(600.0)
        assert scene.crew.board.views[0].state == "failed"
        assert {one.shard for one in scene.sim.ledger.identifies} == {1}
        assert len(scene.sim.ledger.connections) == 1
        os.close(other)

    stage(tmp_path, play, start=False, shards=2)


def test_f107_a_second_coordinator_on_one_state_folder_does_nothing(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        second = Scene(tmp_path, scene.sim, {})
        with pytest.raises(StateFolderError, match=f"process {os.getpid()}"):
            await second.start()
        await scene.run_for(60.0)
        assert len(scene.sim.ledger.rest_calls) == 1
        assert len(scene.sim.ledger.connections) == 1
        assert scene.is_live(0)

    stage(tmp_path, play)


class _Heard:
    """A coordinator of its own, which knows nothing of the one that runs."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.messages: list[Message] = []

    def forked(self, shard: int, pid: int) -> None:
        pass

    def exited(self, shard: int, pid: int, status: int) -> None:
        self.status.set_result(status)

    def nursery_ended(self, status: int) -> None:
        pass

    def said(self, shard: int, message: Message) -> None:
        self.messages.append(message)


@pytest.mark.e2e
def test_f107_of_two_real_workers_the_second_leaves_without_a_word_to_discord(tmp_path: Path) -> None:
    with discord(Settings(shards=1, guilds=2, rate=50.0)) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()

        async def second() -> _Heard:
            heard = _Heard()
            nursery = NurseryLink(heard, {"PATH": os.environ["PATH"]})
            await nursery.start()
            try:
                folder = str(cluster.state / "shards" / "0")
                job_0 = job(shard=0, shards=1, folder=folder, gateway_url=sim.gateway_url)
                nursery.fork(0).tell(job_0)
                await asyncio.wait_for(asyncio.shield(heard.status), 15.0)
            finally:
                await nursery.stop()
            return heard

        heard = asyncio.run(second())
        assert heard.status.result() == WorkerExit.BUSY
        assert heard.messages == []
        assert len(sim.ledger.connections) == 1
        assert cluster.stop() == 0
        logged = in_log(cluster.state)
        assert logged == made(sim)[: len(logged)]
        assert len(logged) > 100


# Workers that crash again and again


def test_f108_a_worker_that_ends_at_its_start_is_restarted_five_times_and_costs_no_identify(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        scene.crashes[0] = 1
        await scene.start()
        assert await scene.ended() == 1
        assert len(scene.story("shard 0: the worker failed").splitlines()) == 6
        assert scene.now > 5.0, "each wait is longer than the one before"
        assert scene.sim.ledger.connections == []
        (notice,) = scene.notices("GWCLUSTER_SHARD_STATE")
        assert notice["state"] == "failed"
        await scene.run_for(3600.0)
        assert scene.sim.ledger.connections == []

    stage(tmp_path, play, start=False)


def test_f108_a_worker_that_crashes_a_few_times_resumes_its_saved_session(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.crashes[0] = 1
        scene.worker(0).kill()
        scene.sim.emit("TYPING_START", {"while": "away"})
        await scene.until(lambda: scene.crew.supervisor.died(0) == 4)
        assert len(scene.sim.ledger.connections) == 1
        del scene.crashes[0]
        await scene.live()
        (resume,) = scene.sim.ledger.resumes
        assert resume.outcome == "resumed"
        assert len(scene.sim.ledger.identifies) == 1
        assert scene.seqs() == list(range(1, 6))

    stage(tmp_path, play)


def test_f108_a_worker_that_dies_after_each_identify_costs_six_and_no_other_shard_any(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("silent", shard=0, times=None)  # READY never comes
        await scene.start()
        await scene.live(1)

        def spent() -> int:
            return sum(1 for one in scene.sim.ledger.identifies if one.shard == 0)

        for count in range(1, 7):
            await scene.until(lambda count=count: spent() == count)  # type: ignore[misc]
            scene.worker(0).kill()
            await scene.settled()
        await scene.run_for(900.0)
        assert spent() == 6
        assert scene.crew.board.views[0].state == "failed"
        assert scene.is_live(1)
        assert len([one for one in scene.sim.ledger.identifies if one.shard == 1]) == 1

    config = {"supervision": {"restarts": 5, "within": "10m"}}
    stage(tmp_path, play, start=False, config=config, shards=2, max_concurrency=2)


def test_f108_without_such_a_bound_a_day_of_it_would_still_not_spend_the_days_identifies(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("silent", times=None)
        moments: list[float] = []
        while scene.now < 5400.0:
            await scene.run_for(2.0)
            if len(scene.sim.ledger.identifies) > len(moments):
                moments = [one.at - START for one in scene.sim.ledger.identifies]
                scene.worker(0).kill()
        in_the_last_hour = [moment for moment in moments if moment >= 1800.0]
        assert 10 <= len(in_the_last_hour) < 900 / 24, "900 of the 1000 may be spent"
        assert len(moments) < 70

    config = {"supervision": {"restarts": 10_000, "within": "60s"}}
    stage(tmp_path, play, config=config)


@pytest.mark.e2e
def test_f108_a_real_worker_that_can_not_start_is_given_up_after_its_restarts(tmp_path: Path) -> None:
    with discord(Settings(shards=2, guilds=2, max_concurrency=2)) as sim:
        shards = tmp_path / "state" / "shards"
        shards.mkdir(parents=True)
        (shards / "0").write_text("no folder")  # so that its worker ends with an error each time
        with running(tmp_path, sim.api, supervision="{restarts: 1, within: 60s}") as cluster:
            until(lambda: "died 2 times within 60 s: failed" in cluster.text(), "the end of shard 0")
            until(lambda: "shard 1: READY" in cluster.text(), "shard 1")
            time.sleep(1.0)
            assert [one.shard for one in sim.ledger.identifies] == [1]
            assert len(sim.ledger.connections) == 1
            assert cluster.stop() == 0


@pytest.mark.e2e
def test_f108_a_real_worker_that_crashes_at_its_start_resumes_once_it_can(tmp_path: Path) -> None:
    with (
        discord(Settings(shards=1, guilds=2)) as sim,
        running(tmp_path, sim.api) as cluster,
    ):
        cluster.wait_ready()
        folder, aside = cluster.state / "shards" / "0", cluster.state / "shards" / "aside"
        folder.rename(aside)
        folder.write_text("no folder")
        kill(cluster.workers(1)[0])
        until(lambda: cluster.text().count("starting it again in") >= 2, "a second death")
        folder.unlink()
        aside.rename(folder)
        sim.emit("TYPING_START", {"while": "away"})
        cluster.wait_ready(times=2)
        assert [one.outcome for one in sim.ledger.resumes] == ["resumed"]
        assert len(sim.ledger.identifies) == 1
        assert cluster.stop() == 0
        assert in_log(cluster.state) == made(sim)


# The coordinator dies. Workers die with it by design: one who lived on would have nobody to publish through,
# nobody who grants permits, and a successor at its side that can't tell it from a stranger. A RESUME is free.


@pytest.mark.e2e
def test_f109_killed_with_its_coordinator_every_worker_is_succeeded_by_a_resume_without_a_gap(
    tmp_path: Path,
) -> None:
    busy = Settings(shards=2, guilds=4, rate=200.0, max_concurrency=2, buffer_events=100_000)
    with discord(busy) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        for times in (2, 3):
            time.sleep(0.3)
            everyone = cluster.everything()
            assert len(everyone) == 4
            kill(cluster.pid)
            assert cluster.process is not None
            cluster.process.wait()
            until(lambda everyone=everyone: not any(map(is_alive, everyone)), "everyone's end", 2.0)  # type: ignore[misc]
            cluster.start()
            cluster.wait_ready(times=times)
        time.sleep(0.3)
        assert cluster.stop() == 0
        assert len(sim.ledger.identifies) == 2, "those of the first start"
        assert [one.outcome for one in sim.ledger.resumes] == ["resumed"] * 4
        assert {close.code for close in sim.ledger.closes if close.by == "client"} & {1000, 1001} == set()
        for shard in range(2):
            logged = in_log(cluster.state, shard)
            assert [seq for seq, _ in logged] == list(range(1, len(logged) + 1))
            assert logged == made(sim, shard)[: len(logged)]
            assert len(logged) > 100


@pytest.mark.e2e
def test_f109_a_worker_that_was_stopped_when_its_coordinator_died_does_not_come_back_as_a_second_one(
    tmp_path: Path,
) -> None:
    # Suspended by a debugger or a frozen control group, say; it must not wake up beside its successor.
    with discord(Settings(shards=1, guilds=2)) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        worker = cluster.workers(1)[0]
        os.kill(worker, signal.SIGSTOP)
        kill(cluster.pid)
        assert cluster.process is not None
        cluster.process.wait()
        until(lambda: not is_alive(worker), "its end", 2.0)
        cluster.start()
        cluster.wait_ready(times=2)
        assert len(sim.ledger.identifies) == 1
        assert len(sim.ledger.connections) == 2
        assert cluster.stop() == 0


def test_f109_whatever_happened_while_nobody_was_there_comes_once_and_in_order(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for away_s in (0.0, 20.0, 100.0):
            scene.sim.emit_random(0, 10)
            await scene.kill()
            scene.sim.emit_random(0, 10)
            await scene.run_for(away_s)
            await scene.start()
            await scene.live()
            await scene.settled()
        assert len(scene.sim.ledger.identifies) == 2
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"] * 6
        for shard in range(2):
            assert scene.seqs(shard) == list(range(1, len(scene.seqs(shard)) + 1))

    stage(tmp_path, play, shards=2, guilds=4, max_concurrency=2)


def test_f109_64_shards_whose_coordinator_died_are_resumed_over_two_seconds(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(60.0)
        await scene.kill()
        at = scene.loop.time()
        await scene.start()
        await scene.live()
        moments = sorted(one.at - at for one in scene.sim.ledger.resumes)
        assert len(moments) == 64
        assert moments[-1] <= 2.1
        assert max(sum(1 for other in moments if 0 <= other - one < 0.1) for one in moments) <= 12
        assert len(scene.sim.ledger.identifies) == 64, "those of the first start"

    stage(tmp_path, play, shards=64, guilds=64, max_concurrency=16)


# Another shard count


@pytest.mark.parametrize(("left", "config"), [(20, {}), (52, {"identify": {"reserve": "1%"}})])
def test_f110_from_16_to_32_shards_with_20_identifies_is_refused_before_the_first(
    tmp_path: Path, left: int, config: dict[str, Any]
) -> None:
    # 32 of the 52 are kept in reserve: one start of all shards, whatever happens next.
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(3.0)  # by then it is noted which sessions are alive
        await scene.stop()
        leave(scene.sim, left)
        scene.config["shards"] = {"count": 32}
        with pytest.raises(StartError) as caught:
            await scene.start()
        assert f"32 of 32 shards need an IDENTIFY, and {left - 32 if left > 32 else 0} may be spent" in str(
            caught.value
        )
        assert "16 sessions can still be resumed" in str(caught.value)
        assert len(scene.sim.ledger.identifies) == 16
        assert len(scene.sim.ledger.connections) == 16, "not one dial"
        scene.config["shards"] = {"count": 16}
        await scene.start()
        await scene.live()
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"] * 16
        assert len(scene.sim.ledger.identifies) == 16

    config = {"shards": {"count": 16}, **config}
    stage(tmp_path, play, config=config, shards=16, guilds=32, max_concurrency=16)


def test_f110_with_enough_left_for_it_and_the_reserve_it_happens(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.stop()
        leave(scene.sim, 8)
        scene.config["shards"] = {"count": 4}
        await scene.start()
        await scene.live()
        assert [one.shards for one in scene.sim.ledger.identifies] == [2, 2, 4, 4, 4, 4]

    config = {"shards": {"count": 2}, "identify": {"reserve": "0%"}}
    stage(tmp_path, play, config=config, shards=2, guilds=8, max_concurrency=4)


@pytest.mark.e2e
def test_f110_plan_and_run_say_so_beforehand_and_touch_nothing(tmp_path: Path) -> None:
    with (
        discord(Settings(shards=2, guilds=4, max_concurrency=2)) as sim,
        running(tmp_path, sim.api) as cluster,
    ):
        cluster.wait_ready()
        assert cluster.stop() == 0
        leave(sim, 3)
        cluster.file.write_text(cluster.file.read_text() + "shards: {count: 4}\n")
        planned = gwcluster("plan", cluster, "--json")
        document = json.loads(planned.stdout)
        assert planned.returncode == 1
        assert (document["refused"], document["may_start"]) == (True, False)
        assert "2 sessions can still be resumed" in document["hitches"][0]["reason"]
        run = gwcluster("run", cluster)
        assert run.returncode == 1
        assert "4 of 4 shards need an IDENTIFY, and 0 may be spent" in run.stderr
        assert "Traceback" not in run.stderr
        assert len(sim.ledger.identifies) == 2
        assert len(sim.ledger.connections) == 2
        cluster.file.write_text(cluster.file.read_text().replace("count: 4", "count: 2"))
        assert gwcluster("plan", cluster).returncode == 0
        cluster.start()
        cluster.wait_ready(times=2)
        assert [one.outcome for one in sim.ledger.resumes] == ["resumed"] * 2
        assert len(sim.ledger.identifies) == 2
        assert cluster.stop() == 0


def gwcluster(command: str, cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "gwcluster", command, str(cluster.file), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_f111_a_count_that_is_no_multiple_of_a_large_bots_number_is_fatal_and_the_right_one_is_named(
    tmp_path: Path,
) -> None:
    # "The number of shards you run must be a multiple of the shard number provided":
    # https://docs.discord.com/developers/events/gateway#sharding-for-large-bots
    async def play(scene: Scene) -> None:
        await scene.start()
        assert await scene.ended() == 64
        outcomes = [one.outcome for one in scene.sim.ledger.identifies]
        assert outcomes == ["4010"] * 3, "each shard once, none again"
        said = scene.story("ERROR")
        assert "shards.count is 20 and Discord recommends 32" in said
        assert "a multiple of the number that Discord assigned" in said
        await scene.run_for(3600.0)
        assert len(scene.sim.ledger.connections) == 3

    config = {"shards": {"count": 20, "ids": [0, 5, 17]}}
    stage(
        tmp_path, play, start=False, config=config, shards=32, shard_multiple=16, violated={"shard_multiple"}
    )


def test_f111_a_multiple_of_it_is_fine(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        assert {one.outcome for one in scene.sim.ledger.identifies} == {"ready"}

    config = {"shards": {"count": 48, "ids": [0, 5, 17]}}
    stage(tmp_path, play, config=config, shards=32, guilds=96, shard_multiple=16, max_concurrency=16)
