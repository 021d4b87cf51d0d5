"""Each change of a shard's state comes out as a notice, and each change of the counts as another."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

from support.scene import Scene, stage


def states(scene: Scene) -> list[str]:
    return [one["state"] for one in scene.notices("GWCLUSTER_SHARD_STATE")]


def counts(scene: Scene) -> list[dict[str, Any]]:
    """Return the counts as they changed; the same ones are said again every two seconds."""
    return [one for one, _ in groupby(scene.notices("GWCLUSTER_CLUSTER_STATE"))]


def test_every_state_of_a_shard_is_published_in_order(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(30.0)
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        await scene.run_for(30.0)
        await scene.stop()

    scene = stage(tmp_path, play)
    assert states(scene) == [
        *("connecting", "queued", "identifying", "live"),
        *("backoff", "connecting", "resuming", "live"),
        "stopped",
    ]
    assert [one["ready"] for one in counts(scene)] == [0, 1, 0, 1, 0]


def test_a_worker_that_dies_is_seen_in_the_counts_and_its_successor_tells_the_rest(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(30.0)
        scene.worker(0).kill()
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        await scene.settled()
        assert states(scene)[4:] == ["connecting", "resuming", "live"]
        assert [one["ready"] for one in counts(scene)] == [0, 1, 0, 1]

    stage(tmp_path, play)


def test_a_shard_that_is_given_up_is_published_and_counted(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.crashes[1] = 1
        scene.worker(1).kill()
        await scene.until(lambda: scene.crew.supervisor.failed)
        await scene.run_for(3.0)
        assert counts(scene)[-1] == {"ready": 1, "total": 2, "degraded": 0, "failed": 1}

    scene = stage(tmp_path, play, shards=2, max_concurrency=2, guilds=4)
    last = [one for one in scene.notices("GWCLUSTER_SHARD_STATE") if one["shard"] == 1][-1]
    assert last["state"] == "failed"
    assert "died 6 times" in last["reason"]
