"""F58, F110, F111 and what else a start may be refused for, before it costs anything."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from gwcluster.identify.start import StartError
from gwcluster.wire.exits import Exit
from support.scene import Scene, stage


def identified(scene: Scene) -> list[int | None]:
    return [identify.shard for identify in scene.sim.ledger.identifies]


async def ran(scene: Scene) -> None:
    """Run once until all are live, and stop in order."""
    await scene.live()
    await scene.run_for(40.0)
    await scene.stop()


def test_f110_more_shards_than_the_budget_allows_are_refused_before_the_first_identify(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await ran(scene)
        dialed = len(scene.sim.ledger.connections)
        scene.config["shards"] = {"count": 32}
        with pytest.raises(StartError) as refused:
            await scene.start()
        text = str(refused.value)
        assert "32 of 32 shards need an IDENTIFY, and 20 may be spent: 120 of 1000 a day are left" in text
        assert "16 sessions can still be resumed" in text
        assert len(scene.sim.ledger.connections) == dialed
        scene.config["shards"] = {"count": 16}
        await scene.start()
        await scene.live()
        assert [resume.outcome for resume in scene.sim.ledger.resumes] == ["resumed"] * 16

    scene = stage(
        tmp_path,
        play,
        shards=16,
        max_concurrency=16,
        guilds=32,
        identifies_used=864,
        config={"shards": {"count": 16}},
    )
    assert len(scene.sim.ledger.identifies) == 16


def test_f111_a_count_that_is_no_multiple_is_refused_with_the_one_that_is(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.start()
        assert await scene.ended() == Exit.REFUSED
        await scene.run_for(600.0)

    scene = stage(
        tmp_path,
        play,
        start=False,
        shards=4,
        shard_multiple=4,
        max_concurrency=2,
        config={"shards": {"count": 2}},
        violated={"shard_multiple"},
    )
    assert set(identified(scene)) == {0, 1}
    told = scene.story("Discord refused each of them")
    assert "4010" in told
    assert "shards.count is 2 and Discord recommends 4" in told
    assert "multiple" in told


def test_f58_a_coordinator_that_is_killed_in_the_middle_of_a_start_leaves_windows_and_ledger(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        for _ in range(4):
            await scene.run_for(12.0)
            await scene.kill()
            await scene.start()
        await scene.live()
        moments = sorted(identify.at for identify in scene.sim.ledger.identifies)
        assert min(later - earlier for earlier, later in pairwise(moments)) >= 5.0

    scene = stage(tmp_path, play, shards=8)
    assert set(identified(scene)) == set(range(8))
    assert scene.gate.budget.remaining == 1000 - len(identified(scene))


def test_a_restart_keeps_the_shard_count_while_its_sessions_live(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await ran(scene)
        scene.sim.rest_fault(status=200, body=recommending(scene, 8))
        await scene.start()
        await scene.live()
        assert list(scene.crew.board.views) == [0, 1, 2, 3]
        await scene.until(lambda: scene.story("Discord recommends 8 shards, and 4 are run"))

    scene = stage(tmp_path, play, shards=4, max_concurrency=4)
    assert len(scene.sim.ledger.identifies) == 4


def test_ten_times_the_shards_of_last_time_need_the_operators_word(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await ran(scene)
        await scene.run_for(3600.0)  # the sessions are gone
        scene.sim.rest_fault(status=200, body=recommending(scene, 41))
        with pytest.raises(
            StartError, match=r"recommends 41 shards, and the last time it was 4: .*shards.count: 41"
        ):
            await scene.start()

    scene = stage(tmp_path, play, shards=4, max_concurrency=4)
    assert len(scene.sim.ledger.connections) == 4


def test_a_fresh_start_gives_every_session_up(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await ran(scene)
        await scene.start(fresh=True)
        await scene.live()
        assert "2 saved sessions are given up" in scene.story("--fresh")

    scene = stage(tmp_path, play, shards=2, max_concurrency=2)
    assert sorted(str(shard) for shard in identified(scene)) == ["0", "0", "1", "1"]
    assert scene.sim.ledger.resumes == []


def test_a_fresh_start_that_the_budget_does_not_allow_gives_up_nothing(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await ran(scene)
        with pytest.raises(StartError, match="No session was given up"):
            await scene.start(fresh=True)
        await scene.start()
        await scene.live()

    scene = stage(tmp_path, play, shards=2, max_concurrency=2, identifies_used=897)
    assert identified(scene) == [0, 1]
    assert [resume.outcome for resume in scene.sim.ledger.resumes] == ["resumed"] * 2


def recommending(scene: Scene, shards: int) -> str:
    limit = '{"total": 1000, "remaining": 900, "reset_after": 3600000, "max_concurrency": 4}'
    return f'{{"url": "{scene.sim.gateway_url}", "shards": {shards}, "session_start_limit": {limit}}}'
