"""Type-checks what docs/library.md shows, and runs its programs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gwcluster
from gwcluster.client import aio, follower
from support.cluster import Cluster

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PROGRAMS = [*BLOCKS, (ROOT / "examples" / "bot.py").read_text()]


def test_what_is_shown_type_checks(tmp_path: Path) -> None:
    files = []
    for number, program in enumerate(PROGRAMS):
        files.append(tmp_path / f"program_{number}.py")
        files[-1].write_text(program)
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout


def test_the_page_knows_every_public_name_and_every_reason_of_a_gap() -> None:
    for name in gwcluster.__all__:
        assert name in PAGE or name.startswith("Blocking") or name == "Subscription", name
    source = ast.parse(Path(follower.__file__).read_text())
    reasons = {
        node.value
        for node in ast.walk(source)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"shard's log|run this shard", node.value)
        and node.value[0].islower()
    }
    assert len(reasons) == 5
    for reason in reasons:
        assert f"`{reason}`" in PAGE
    assert f"every {aio.TURN} events" in PAGE


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A simulated cluster of one shard, ready."""
    cluster = Cluster(tmp_path_factory.mktemp("library"), "http://127.0.0.1:9/api/v10", shards="{count: 1}")
    process = cluster.start("--simulate")
    try:
        cluster.wait_ready()
        yield cluster
        assert cluster.stop() == 0
    finally:
        process.kill()
        process.wait()


def lines_of(program: str, cluster: Cluster, count: int) -> list[str]:
    """Run a program beside the cluster's file, kill it after so many lines, and return all that it said."""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], cwd=cluster.folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(count)]
        finally:
            process.kill()
        return said + process.stdout.readlines()


@pytest.mark.e2e
def test_the_first_program_prints_messages(cluster: Cluster) -> None:
    assert all(re.match(r"\w+ \S", line) for line in lines_of(BLOCKS[0], cluster, 3))
    assert (cluster.folder / "bot.cursor").exists()


@pytest.mark.e2e
def test_the_program_without_asyncio_begins_with_the_status(cluster: Cluster) -> None:
    assert lines_of(BLOCKS[3], cluster, 1)[:1] == ["1 shards are live\n"]


@pytest.mark.e2e
def test_the_example_goes_on_where_it_was_killed(cluster: Cluster) -> None:
    program = PROGRAMS[-1]
    first = lines_of(program, cluster, 5)
    again = lines_of(program, cluster, 5)
    offsets = [int(re.fullmatch(r"shard 0 offset (\d+): \w+\n", line)[1]) for line in first + again]  # type: ignore[index]
    with gwcluster.connect(cluster.file) as connected:
        everything = connected._requests.ask(
            "replay", 10.0, {"shard": 0, "after": offsets[0] - 1, "names": ["MESSAGE_CREATE"]}
        )
    assert isinstance(everything, dict)
    published = [gwcluster.client.event.read_frames(frames)[0].offset for frames in everything["events"]]
    assert sorted(set(offsets)) == published[: len(set(offsets))], "none is missing"
    assert len(offsets) - len(set(offsets)) <= 1, "the one at work when it was killed may come again"
