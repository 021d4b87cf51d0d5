"""What a reload changes in a cluster that runs. Files are the business of tests/cluster/config."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

from gwcluster.config import Config, ConfigError, Identify, Supervision
from gwcluster.config.model import Log
from support.config_files import problems
from support.scene import Scene, stage


def reloads(scene: Scene, **changes: object) -> Config:
    """Have the cluster read a configuration that differs by these."""
    new = dataclasses.replace(scene.cluster.config, **changes)  # type: ignore[arg-type]
    scene.cluster._load = lambda: new
    scene.cluster.reload()
    return new


def test_bounds_reserve_and_presence_hold_from_now_on_and_retention_for_new_workers(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        assert scene.gate.budget.reserve == 100
        presence: dict[str, Any] = {"since": None, "activities": [], "status": "idle", "afk": False}
        reloads(
            scene,
            supervision=Supervision.model_validate({"restarts": 0}),
            identify=Identify.model_validate({"reserve": "30%"}),
            log=Log.model_validate({"retention": {"bytes": "16MiB"}}),
            presence=presence,
        )
        await scene.until(lambda: scene.cluster.status()["reloaded_at"])
        await scene.settled()
        assert scene.gate.budget.reserve == 300
        worker = scene.worker(0)
        assert worker.drive is not None
        assert worker.drive._performer.job.presence == presence
        assert worker.drive._performer.job.retention_bytes == 64 << 20
        scene.crew.restart(0)
        await scene.until(lambda: scene.worker(0) is not worker and scene.is_live(0))
        successor = scene.worker(0).drive
        assert successor is not None
        assert successor._performer.job.retention_bytes == 16 << 20
        scene.worker(0).kill()
        await scene.until(lambda: "failed" in scene.story("died 1 times"))
        await scene.ended()

    stage(tmp_path, play)


def test_a_file_that_is_broken_changes_nothing_and_is_told_with_all_that_is_wrong(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        before = scene.cluster.config

        def broken() -> Config:
            raise ConfigError(problems(tmp_path, "token: x\nintents: [GUILD]\n"))

        scene.cluster._load = broken
        scene.cluster.reload()
        await scene.until(lambda: scene.story("isn't reloaded"))
        assert "intents" in scene.story()
        assert scene.cluster.config is before
        assert scene.cluster.status()["reloaded_at"] is None

    stage(tmp_path, play)


def test_two_at_once_are_one(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        reloads(scene)
        scene.cluster.reload()
        await asyncio.sleep(1.0)
        assert scene.story().count("nothing has changed") == 1
        assert "it is just being read" in scene.story()

    stage(tmp_path, play)
