from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.scratch import PREFIX, scratch
from support.cluster import until

ROOT = Path(__file__).parents[2]


def test_the_folder_of_a_run_is_gone_afterwards_with_all_that_is_in_it(tmp_path: Path) -> None:
    with scratch(os.getpid(), tmp_path) as folder:
        (folder / "state").mkdir()
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    dead, living, strange = (tmp_path / f"{PREFIX}{who}-x" for who in (1 << 30, os.getpid(), "who"))
    for folder in (dead, living, strange):
        (folder / "state").mkdir(parents=True)
    with scratch(os.getpid(), tmp_path):
        assert (dead.exists(), living.exists(), strange.exists()) == (False, True, True)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room for those of sockets; pytest's are too long."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        yield Path(folder)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "words",
    [("memory", "--over", "ws", "--guilds", "0", "--settle", "60"), ("scale", "--parts", "quiet")],
    ids=lambda words: words[0],
)
def test_a_measurement_that_is_asked_to_stop_leaves_nothing(short: Path, words: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", f"bench.{words[0]}", *words[1:], "--shards", "1"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(short)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: list(short.glob("*/state/shards/0/*.log")), "a shard's log")
        process.terminate()
        assert process.wait(20) == 1
    finally:
        process.kill()
        process.wait()
    assert list(short.iterdir()) == []
