"""F51 to F55, F58 and F59: identifies in vain, budgets that are used up, coordinators that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gwcluster.wire.exits import Exit
from support.identifies import MARGINS_S, WINDOW_S, gaps, of
from support.scene import Scene, stage


def plenty(scene: Scene) -> str:
    """Return an answer of /gateway/bot by which a thousand identifies are left."""
    start = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
    shards = scene.sim.settings.shards
    return json.dumps({"url": scene.sim.gateway_url, "shards": shards, "session_start_limit": start})


@pytest.mark.parametrize("counted", ["all", "successes"])
def test_f51_op_9_for_ever_stops_at_the_reserve(tmp_path: Path, counted: str) -> None:
    # A small day of 6 identifies with 2 in reserve; tests/cluster/identify/test_day.py has whole ones.
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("op9", times=None)
        await scene.start()
        while len(scene.sim.ledger.identifies) < 4 and scene.now < 3600.0:
            await scene.run_for(10.0)
        await scene.run_for(1000.0)
        identifies = scene.sim.ledger.identifies
        assert [identify.outcome for identify in identifies] == ["op9"] * 4, "2 of 6 are never touched"
        assert gaps(identifies)[-1] > 299.0, "with so few left, one try in five minutes"
        told = scene.story("in vain again and again", "no shard may identify").splitlines()
        assert {line.split()[0] for line in told} == {"ERROR"}
        assert any("no shard may identify until Discord's reset" in line for line in told)

    stage(
        tmp_path,
        play,
        start=False,
        config={"identify": {"reserve": "30%"}},
        expect={"reserve": 2},
        daily_limit=6,
        identifies_counted=counted,
    )


def test_f51_the_breaker_opens_long_before_and_closes_with_the_first_session_that_lasts(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("op9", times=None)
        await scene.start()
        await scene.run_for(700.0)
        refused = [identify.at for identify in scene.sim.ledger.identifies]
        assert 12 <= len(refused) <= 14, "ten at once are a fifth of the limit; then one in five minutes"
        assert max(refused[:10]) - min(refused[:10]) < 0.5
        told = scene.story("gained no shard").splitlines()
        assert len(told) == 1
        assert told[0].startswith("ERROR identify budget: 10 identifies of the last 24 h gained no shard")
        scene.sim.accept()
        await scene.live(within_s=600.0)
        ready = [identify for identify in scene.sim.ledger.identifies if identify.outcome == "ready"]
        assert len(ready) == 10
        assert 60.0 <= ready[1].at - ready[0].at < 70.0, "the others follow once it has lasted a minute"

    stage(tmp_path, play, start=False, shards=10, guilds=10, max_concurrency=10, daily_limit=50)


def test_f52_a_ready_that_takes_forty_five_seconds_is_waited_for(tmp_path: Path) -> None:
    # A dozen shards, so that the last ones see others become ready while they wait: it is no outage.
    async def play(scene: Scene) -> None:
        await scene.live(within_s=150.0)
        assert [identify.shard for identify in scene.sim.ledger.identifies] == list(range(12))
        assert len(scene.sim.ledger.connections) == 12
        assert scene.sim.ledger.closes == []
        assert scene.now > 45.0 + 11 * WINDOW_S

    stage(tmp_path, play, shards=12, guilds=12, ready_delay_s=45.0)


def test_f53_in_an_outage_without_any_ready_connections_are_held(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("silent", times=None)
        await scene.start()
        await scene.run_for(1200.0)
        identifies = scene.sim.ledger.identifies
        assert len(identifies) == 3 * 2, "each connection is held for a quarter of an hour"
        assert min(gaps(of(scene, 0))) >= 900.0
        assert len(scene.sim.ledger.connections) == len(identifies)
        scene.sim.accept()
        await scene.live(within_s=1000.0)

    stage(tmp_path, play, start=False, shards=3, guilds=6)


def test_f53_a_ready_that_others_get_is_not_waited_for_that_long(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("silent", shard=0)
        await scene.start()
        await scene.live(within_s=200.0)
        lost, found = of(scene, 0)
        assert 90.0 <= found.at - lost.at < 110.0
        assert len(scene.sim.ledger.identifies) == 3

    stage(tmp_path, play, start=False, shards=2, guilds=4)


def test_f53_the_last_ready_of_a_start_counts_although_another_came_just_before_it(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("silent", shard=2)
        await scene.start()
        await scene.live(within_s=200.0)
        lost, found = of(scene, 2)
        assert 90.0 <= found.at - lost.at < 110.0

    stage(tmp_path, play, start=False, shards=4, guilds=4, max_concurrency=2, ready_delay_s=1.0)


def test_f54_sessions_that_end_after_two_seconds_are_bought_at_a_falling_rate(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.close_after(2.0)
        scene.sim.refuse_resume("op9", times=None)
        await scene.start()
        await scene.run_for(1200.0)
        identifies = scene.sim.ledger.identifies
        assert {identify.outcome for identify in identifies} == {"ready"}
        waits = gaps(identifies)
        assert len(identifies) < 80, "backoff starting anew with each READY would make it some 200"
        assert sum(waits[-10:]) / 10 > 20.0
        assert sum(waits[:3]) / 3 < 20.0
        # Both the worker, before it dials, and the gate, before it grants, wait longer than at first.
        ledger = scene.sim.ledger
        dropped = [close.at for close in ledger.closes if close.by == "server"]
        dials = [min(one.at for one in ledger.resumes if one.at > at) - at for at in dropped[:-1]]
        assert sum(dials[-10:]) / 10 > 20.0
        greeted = {hello.link: hello.at for hello in ledger.hellos}
        queued = [one.at - greeted[one.link] for one in identifies]
        assert sum(queued[-10:]) / 10 > 10.0
        scene.sim.accept()
        await scene.live(within_s=200.0)
        await scene.run_for(120.0)
        assert scene.is_live(0)

    stage(tmp_path, play, start=False)


def test_f54_sessions_that_end_after_two_seconds_open_the_breaker_however_long_dials_are_waited_for(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.close_after(2.0)
        scene.sim.refuse_resume("op9", times=None)
        await scene.start()
        await scene.run_for(600.0)
        told = "ERROR identify budget: 12 identifies of the last 24 h gained no shard"
        assert scene.story("gained no shard").startswith(told)
        opened = len(scene.sim.ledger.identifies)
        await scene.run_for(1200.0)
        assert len(scene.sim.ledger.identifies) - opened <= 5, "one in five minutes"
        scene.sim.accept()
        await scene.live(within_s=1200.0)

    stage(tmp_path, play, start=False, shards=10, guilds=10, max_concurrency=10, daily_limit=60)


@pytest.mark.parametrize("counted", ["all", "successes"])
def test_f55_a_token_that_discord_revoked_ends_everything_with_one_alert(
    tmp_path: Path, counted: str
) -> None:
    # "Upon hitting this limit, all active sessions ... will be terminated, the bot token will be reset"
    # https://docs.discord.com/developers/events/gateway#identifying
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(status=200, body=plenty(scene))  # somebody else spends them, too
        await scene.start()
        assert await scene.ended(within_s=60.0) == Exit.REFUSED
        assert len(scene.sim.ledger.identifies) == 3
        assert {close.code for close in scene.sim.ledger.closes if close.by == "server"} == {4004}
        dials, calls = len(scene.sim.ledger.connections), len(scene.sim.ledger.rest_calls)
        await scene.run_for(3600.0)
        assert len(scene.sim.ledger.identifies) == 3
        assert scene.sim.ledger.resumes == []
        assert (len(scene.sim.ledger.connections), len(scene.sim.ledger.rest_calls)) == (dials, calls)
        alerts = [record.getMessage() for record in scene.said if record.levelname == "ERROR"]
        assert len(alerts) == 2, "one that Discord refuses the cluster, and one that therefore nothing runs"
        assert alerts[0].startswith("Discord refuses the cluster: 4004")
        assert alerts[1].startswith("no shard runs")

    stage(
        tmp_path,
        play,
        start=False,
        violated={"daily_limit"},
        excused={"I2"},
        shards=4,
        guilds=8,
        daily_limit=2,
        identifies_counted=counted,
    )


@pytest.mark.parametrize("pause_s", [0.0, 2.0, 30.0])
def test_f58_a_coordinator_that_dies_in_the_middle_of_a_start_remembers_what_it_spent(
    tmp_path: Path, pause_s: float
) -> None:
    # Workers end with their coordinator, so that nobody can grant himself anything meanwhile; their
    # successors resume.
    async def play(scene: Scene) -> None:
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 3)
        await scene.live(0, 1, 2)
        await scene.kill()
        await scene.run_for(pause_s)
        await scene.start()
        await scene.live()
        identifies = scene.sim.ledger.identifies
        assert [identify.shard for identify in identifies] == list(range(6))
        assert min(gaps(identifies)) >= WINDOW_S
        assert identifies[3].at - identifies[2].at < max(WINDOW_S + MARGINS_S, pause_s + 3.0)
        assert [resume.outcome for resume in scene.sim.ledger.resumes] == ["resumed"] * 3
        assert scene.gate.budget.remaining == 1000 - 6

    stage(tmp_path, play, shards=6, guilds=12)


def test_f58_a_permit_that_was_out_when_the_coordinator_died_counts_as_used(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live(0)
        await scene.until(lambda: 1 in scene.gate.waiting)
        scene.worker(1).cut_off()
        await scene.until(lambda: 1 in scene.gate.leased)
        await scene.kill()
        restarted_at = scene.loop.time()
        await scene.start()
        await scene.live()
        assert [identify.shard for identify in scene.sim.ledger.identifies] == [0, 1]
        assert scene.sim.ledger.identifies[1].at - restarted_at >= WINDOW_S
        assert scene.gate.budget.remaining == 1000 - 3

    stage(tmp_path, play, shards=2, guilds=4)


def test_f58_a_coordinator_that_dies_again_and_again_begins_with_no_clean_slate(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("op9", times=None)
        for _ in range(15):
            await scene.start()
            await scene.run_for(60.0)
            await scene.kill()
        assert len(scene.sim.ledger.identifies) <= 13, "ten open the breaker, then one in five minutes"

    stage(tmp_path, play, start=False, daily_limit=50, expect={"reserve": 5})


def test_f59_a_shard_that_hears_nothing_from_the_coordinator_resumes_but_does_not_identify(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for shard in (0, 1):
            scene.worker(shard).cut_off()
        scene.sim.op9(0)
        scene.sim.op7(1)
        await scene.run_for(600.0)
        assert len(scene.sim.ledger.identifies) == 2
        assert [(resume.shard, resume.outcome) for resume in scene.sim.ledger.resumes] == [(1, "resumed")]
        assert len(scene.sim.ledger.connections) == 4, "it waits with an open connection"
        scene.worker(0).cut_off(False)
        await scene.live()
        assert [identify.shard for identify in scene.sim.ledger.identifies] == [0, 1, 0]

    stage(tmp_path, play, shards=2, guilds=4)
