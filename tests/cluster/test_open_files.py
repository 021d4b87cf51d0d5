"""A limit of open files that is too low is told before a shard is started, and not after some hundreds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gwcluster.open_files import OpenFilesError, check_open_files
from support.scene import Scene, stage


def test_the_limit_that_is_needed_grows_with_the_shards() -> None:
    check_open_files(64, 192)
    with pytest.raises(
        OpenFilesError, match="64 shards need 192 open files, and the limit is 191: raise the"
    ):
        check_open_files(64, 191)
    check_open_files(480, 1024)
    with pytest.raises(
        OpenFilesError, match=re.escape("with LimitNOFILE in a unit of systemd, else with ulimit -Hn")
    ):
        check_open_files(481, 1024)


def test_a_cluster_that_would_not_fit_starts_no_shard(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.open_files = 67
        with pytest.raises(OpenFilesError, match="2 shards need 68 open files"):
            await scene.start()
        scene.open_files = 68
        await scene.start()
        await scene.live()

    scene = stage(tmp_path, play, start=False, shards=2, max_concurrency=2, guilds=4)
    assert len(scene.sim.ledger.identifies) == 2
