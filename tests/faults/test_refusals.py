"""F86, F90, F91 and F111: close codes after which nobody may come again.

Codes: https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.happenings import emit
from support.scene import Scene, stage


def tries(scene: Scene, shard: int) -> int:
    """Return how often a shard identified or resumed; every connection has to have been for that."""
    ledger = scene.sim.ledger
    assert len(ledger.connections) == len(ledger.identifies) + len(ledger.resumes)
    shards = [one.shard for one in ledger.identifies] + [one.shard for one in ledger.resumes]
    return shards.count(shard)


@pytest.mark.parametrize("code", [4004, 4012, 4013, 4014])
def test_f86_f90_one_refusal_of_the_whole_cluster_is_enough_for_all_shards(tmp_path: Path, code: int) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify(code)
        await scene.start()
        assert await scene.ended() == 64
        assert [one.outcome for one in scene.sim.ledger.identifies] == [str(code)]
        assert len(scene.sim.ledger.rest_calls) == 1
        assert str(code) in scene.story("ERROR")
        await scene.run_for(3600.0)
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, start=False, shards=4, guilds=8)


@pytest.mark.parametrize("code", [4004, 4012, 4013, 4014])
def test_f86_f90_shards_that_are_live_stay_when_the_cluster_is_refused_and_no_worker_is_restarted(
    tmp_path: Path, code: int
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        asked = len(scene.sim.ledger.rest_calls)
        scene.sim.close(1, code)
        await scene.until(lambda: scene.crew.supervisor.refused)
        emit(scene, 3, shard=0)
        await scene.run_for(900.0)
        assert [scene.is_live(shard) for shard in range(3)] == [True, False, True]
        assert scene.crew.board.views[1].state == "failed"
        assert [view.restarts for view in scene.crew.board.views.values()] == [0, 0, 0]
        assert str(code) in scene.crew.board.views[1].reason
        assert set(scene.seqs(0)) >= {4, 5, 6}
        assert tries(scene, 1) == 1
        assert len(scene.sim.ledger.rest_calls) == asked
        assert len(scene.story("ERROR").splitlines()) <= 2, "said, not repeated"

    stage(tmp_path, play, shards=3, guilds=6)


def test_f90_in_a_refused_cluster_a_session_may_still_be_resumed_but_none_begun(tmp_path: Path) -> None:
    # 4014 forbids new sessions; whether it forbids old ones nobody documents, and a RESUME costs nothing.
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.close(1, 4014)
        await scene.until(lambda: scene.crew.supervisor.refused)
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live(0)
        scene.sim.op9(2)
        await scene.run_for(900.0)
        assert scene.is_live(0)
        assert scene.crew.board.views[2].state == "failed"
        assert {one.shard for one in scene.sim.ledger.resumes} == {0}
        assert len(scene.sim.ledger.identifies) == 3

    stage(tmp_path, play, shards=3, guilds=6)


@pytest.mark.parametrize(("code", "remedy"), [(4010, "multiple"), (4011, "/gateway/bot recommends")])
def test_f90_f91_a_shard_that_is_refused_fails_alone_and_the_operator_is_told_what_to_do(
    tmp_path: Path, code: int, remedy: str
) -> None:
    # This cluster doesn't change its shard count by itself: that costs an IDENTIFY for every shard.
    async def play(scene: Scene) -> None:
        scene.sim.refuse_identify(code, shard=1)
        await scene.start()
        await scene.live(0, 2)
        await scene.run_for(900.0)
        assert [one.shard for one in scene.sim.ledger.identifies] == [0, 1, 2], "each once, no loop"
        assert tries(scene, 1) == 1
        view = scene.crew.board.views[1]
        assert (view.state, view.restarts) == ("failed", 0)
        assert str(code) in view.reason
        assert remedy in view.reason
        assert remedy in scene.story("ERROR")
        failed = [one for one in scene.notices("GWCLUSTER_SHARD_STATE") if one["state"] == "failed"]
        assert [one["shard"] for one in failed] == [1]
        assert remedy in json.dumps(failed)
        assert scene.is_live(0)
        assert scene.is_live(2)

    # Another shard's IDENTIFY with the same count after 4011 is on purpose: shards are unevenly full, each is
    # asked once, and those within the bound serve their guilds until the operator has acted.
    stage(tmp_path, play, start=False, shards=3, guilds=6)


@pytest.mark.parametrize(
    ("code", "rule", "knobs"),
    [
        (4010, "shard_multiple", {"shard_multiple": 4}),
        (4011, "sharding_required", {"guilds_per_shard_max": 6}),
    ],
)
def test_f91_f111_a_count_that_fits_no_shard_is_told_with_the_one_that_does(
    tmp_path: Path, code: int, rule: str, knobs: dict[str, Any]
) -> None:
    # "Each shard can only support a maximum of 2500 guilds"; for large bots "the number of shards you run
    # must be a multiple of the shard number provided":
    # https://docs.discord.com/developers/events/gateway#sharding
    async def play(scene: Scene) -> None:
        scene.config["shards"] = {"count": 2}
        await scene.start()
        assert await scene.ended() == 64
        assert [one.outcome for one in scene.sim.ledger.identifies] == [str(code)] * 2, "each once"
        assert "shards.count is 2 and Discord recommends 4" in scene.story("ERROR")
        await scene.run_for(3600.0)
        assert len(scene.sim.ledger.connections) == 2

    stage(tmp_path, play, start=False, shards=4, guilds=24, violated={rule}, **knobs)


def test_f91_a_live_shard_that_has_grown_too_big_is_not_tried_again(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.close(1, 4011)
        await scene.until(lambda: scene.crew.board.views[1].state == "failed")
        await scene.run_for(900.0)
        assert scene.is_live(0)
        assert tries(scene, 1) == 1

    stage(tmp_path, play, shards=2)
