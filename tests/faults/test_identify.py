"""F46 to F50, F56, F57 and F60: when each shard identifies, and what it says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.cluster import TOKEN
from support.identifies import MARGINS_S, WINDOW_S, gaps, of
from support.scene import Scene, stage
from support.sim_client import RawClient

ORIGINS = pytest.mark.parametrize("origin", ["attempt", "accept", "ready"])
"""Nobody outside Discord knows what opens a key's five seconds."""


@pytest.mark.parametrize(("shards", "origin"), [(64, "attempt"), (12, "accept"), (12, "ready")])
def test_f46_sixty_four_shards_of_one_key_take_five_seconds_each_in_order(
    tmp_path: Path, shards: int, origin: str
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live(within_s=600.0)
        identifies = scene.sim.ledger.identifies
        assert [identify.shard for identify in identifies] == list(range(shards))
        assert {identify.outcome for identify in identifies} == {"ready"}
        assert min(gaps(identifies)) >= WINDOW_S
        assert max(gaps(identifies)) < WINDOW_S + MARGINS_S, "none of the day's seconds is wasted"
        assert identifies[-1].at - identifies[0].at >= (shards - 1) * WINDOW_S

    stage(tmp_path, play, shards=shards, guilds=64, identify_window_from=origin, bucket_order=True)


def test_f47_the_key_is_the_shards_id_and_not_its_place_in_the_list(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        (first, second, third), (other,) = of(scene, 0, 16, 32), of(scene, 1)
        assert all(WINDOW_S <= gap < WINDOW_S + MARGINS_S for gap in gaps([first, second, third]))
        assert abs(other.at - first.at) < 0.5, "another key waits for nobody"

    # 0, 1, 16 and 32 are shards of this cluster alone; others of the bot may run elsewhere.
    config = {"shards": {"count": 48, "ids": [0, 1, 16, 32]}}
    stage(tmp_path, play, config=config, shards=48, guilds=48, max_concurrency=16)


@pytest.mark.parametrize("in_order", [False, True])
def test_f47_sixteen_keys_start_forty_eight_shards_in_three_waves(tmp_path: Path, in_order: bool) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for key in range(16):
            shards = of(scene, key, key + 16, key + 32)
            assert [identify.shard for identify in shards] == [key, key + 16, key + 32]
            assert min(gaps(shards)) >= WINDOW_S
        first, *_, last = scene.sim.ledger.identifies
        assert last.at - first.at < 2 * (WINDOW_S + MARGINS_S) + 0.5
        assert len(scene.sim.ledger.identifies) == 48

    stage(tmp_path, play, shards=48, guilds=48, max_concurrency=16, bucket_order=in_order)


def test_f48_a_worker_killed_with_its_permit_unsent_leaves_neither_a_hole_nor_a_lock(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live(0)
        await scene.until(lambda: 1 in scene.gate.waiting)
        scene.worker(1).cut_off()
        await scene.until(lambda: 1 in scene.gate.leased)
        spent = 1000 - scene.gate.budget.remaining
        await scene.run_for(2.0)
        scene.worker(1).kill()
        killed_at = scene.loop.time()
        await scene.live(within_s=30.0)
        assert len(scene.sim.ledger.identifies) == 3
        # Whether the frame left is unknown to the coordinator, so for all it knows it left just now.
        nexts = [identify.at - killed_at for identify in scene.sim.ledger.identifies[1:]]
        assert WINDOW_S <= nexts[0] < WINDOW_S + MARGINS_S
        assert 1000 - scene.gate.budget.remaining == spent + 3, "the permit counts as used"

    stage(tmp_path, play, shards=3, guilds=6)


def test_f48_a_worker_killed_right_after_identify_costs_one_window(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        (first,) = await scene.until(lambda: scene.sim.ledger.identifies)
        scene.worker(0).kill()
        await scene.live(within_s=60.0)
        assert first.shard == 0
        assert sorted(identify.shard or 0 for identify in scene.sim.ledger.identifies) == [0, 0, 1, 2]
        assert all(WINDOW_S <= gap < WINDOW_S + 1.5 for gap in gaps(scene.sim.ledger.identifies))

    stage(tmp_path, play, shards=3, guilds=6, ready_delay_s=1.0)


@ORIGINS
def test_f49_the_window_begins_with_the_frame_and_not_with_the_permit(tmp_path: Path, origin: str) -> None:
    async def play(scene: Scene) -> None:
        await scene.live(0)
        await scene.until(lambda: 1 in scene.gate.waiting)
        scene.worker(1).cut_off()
        await scene.until(lambda: 1 in scene.gate.leased)
        await scene.run_for(6.0)
        assert len(scene.sim.ledger.identifies) == 1, "nobody else uses the key meanwhile"
        scene.worker(1).cut_off(False)
        await scene.live()
        zero, one, two = scene.sim.ledger.identifies
        assert (zero.shard, one.shard, two.shard) == (0, 1, 2)
        assert one.at - zero.at >= 11.0
        assert WINDOW_S <= two.at - one.at < WINDOW_S + MARGINS_S

    stage(tmp_path, play, shards=3, guilds=6, identify_window_from=origin)


def test_f49_a_permit_that_reaches_the_worker_after_its_lease_is_not_used(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live(0)
        await scene.until(lambda: 1 in scene.gate.waiting)
        scene.worker(1).cut_off()
        await scene.until(lambda: 1 in scene.gate.leased)
        granted_at = scene.loop.time()
        await scene.live(2, within_s=40.0)
        (two,) = of(scene, 2)
        assert 20.0 + WINDOW_S <= two.at - granted_at < 21.0 + WINDOW_S, "the lease's end counts as sent"
        scene.worker(1).cut_off(False)
        await scene.live()
        (one,) = of(scene, 1)
        assert one.at - two.at >= WINDOW_S

    stage(tmp_path, play, shards=3, guilds=6)


@ORIGINS
def test_f50_a_refused_identify_closes_its_own_key_and_no_other(tmp_path: Path, origin: str) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("op9", shard=0, delay_s=3.0)
        await scene.start()
        await scene.live()
        refused, again = of(scene, 0)
        assert (refused.outcome, again.outcome) == ("op9", "ready")
        two = of(scene, 2)
        # Op 9 comes three seconds late; five more pass before anyone identifies on that key.
        assert all(identify.at - refused.at >= 3.0 + WINDOW_S for identify in (again, *two))
        one, three = of(scene, 1, 3)
        assert one.at - refused.at < 0.5
        assert WINDOW_S <= three.at - one.at < WINDOW_S + MARGINS_S
        assert len(scene.sim.ledger.identifies) == 5

    settings: dict[str, Any] = {"shards": 4, "guilds": 8, "max_concurrency": 2}
    stage(tmp_path, play, start=False, identify_window_from=origin, **settings)


def test_f50_refusals_in_a_row_close_the_key_for_longer_each_time(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify("op9", times=5)
        await scene.start()
        await scene.live(within_s=300.0)
        told = scene.story("get no permit for").splitlines()
        assert [line.split()[-2] for line in told] == ["5", "10", "20", "40", "60"], "in seconds, each time"
        waits = gaps(scene.sim.ledger.identifies)
        assert [wait >= least for wait, least in zip(waits, [5, 10, 20, 40, 60], strict=True)] == [True] * 5
        assert waits[-1] < 140.0

    stage(tmp_path, play, start=False)


def test_f56_shard_0_says_which_one_it_is(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        (identify,) = scene.sim.ledger.identifies
        assert (identify.shard, identify.shards) == (0, 4)

    stage(tmp_path, play, config={"shards": {"count": 4, "ids": [0]}}, shards=4, guilds=8)


def test_f57_a_presence_that_lacks_something_is_completed_here(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        (identify,) = scene.sim.ledger.identifies
        assert identify.outcome == "ready"
        job = scene.worker(0).job
        assert job is not None
        assert job.presence == {"since": None, "activities": [], "status": "idle", "afk": False}
        assert (await scene.send({"op": 3, "d": {"status": "dnd"}}, shard=0)).code is None
        (command,) = await scene.until(lambda: scene.sim.ledger.commands)
        assert command.data == {"since": None, "activities": [], "status": "dnd", "afk": False}
        assert scene.sim.ledger.closes == []

    stage(tmp_path, play, config={"presence": {"status": "idle"}})


@ORIGINS
def test_f60_a_stranger_who_uses_our_keys_costs_time_and_nothing_else(tmp_path: Path, origin: str) -> None:
    async def stranger(scene: Scene) -> None:
        async with RawClient(scene.sim.gateway_url) as client:
            await client.receive()
            d = {"token": TOKEN, "intents": 0, "shard": [0, 7], "properties": {}}
            await client.send(2, d)
            await client.receive()

    async def play(scene: Scene) -> None:
        for _ in range(5):
            await stranger(scene)
            if not scene.sim.ledger.connections[1:]:
                await scene.start()
            await scene.run_for(3.5)
        await scene.live(within_s=180.0)
        ours = [identify for identify in scene.sim.ledger.identifies if identify.shards == 2]
        refused = [identify for identify in ours if identify.outcome == "op9"]
        assert 1 <= len(refused) <= 5
        assert len(ours) == len(refused) + 2
        assert min(gaps(ours)) >= WINDOW_S
        assert scene.crew.supervisor.failed == {}
        assert scene.story("does something else identify with this token?")

    stage(
        tmp_path,
        play,
        start=False,
        violated={"identify_window"},
        excused={"I1"},
        shards=2,
        guilds=4,
        identify_window_from=origin,
    )
