"""How `gwcluster run` begins and ends when it never gets as far as a shard; real processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from gwsimulator import Settings
from support.cluster import Cluster, children, is_alive, running, until
from support.discord import discord
from support.keys import Keys

NOBODY = "http://127.0.0.1:9/api/v10"


def status_of(cluster: Cluster, *arguments: str) -> int:
    """Run to the end; it has to come by itself."""
    process = cluster.start(*arguments)
    try:
        return process.wait(20)
    finally:
        process.kill()
        process.wait()


def complaint(cluster: Cluster) -> str:
    """The one line that was said besides the log's."""
    text = cluster.text()
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if not line.startswith("20")]
    return line


def test_a_key_that_others_may_read_is_bad_configuration_before_anything_is_begun(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    keys.secret_file.chmod(0o644)
    cluster = Cluster(tmp_path, NOBODY, security=keys.setting)
    assert status_of(cluster) == 78
    said = f"{keys.secret_file}: others may read it (mode 0644); chmod 0600 it"
    assert complaint(cluster).startswith(f"{cluster.file}:9: security.curve.secret_key_file: {said}")
    assert not cluster.state.exists()


def test_a_state_folder_that_is_a_file_is_1_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    cluster = Cluster(tmp_path, NOBODY)
    assert status_of(cluster) == 1
    assert complaint(cluster) == f"can't use the state folder {cluster.state}: File exists"


@pytest.mark.parametrize("what", ["run", "run/stranger", "identify.sqlite", "coordinator.pid"])
def test_something_strange_in_the_state_folder_is_1_with_one_line(tmp_path: Path, what: str) -> None:
    if what == "run":
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / what).write_text("")
    else:
        (tmp_path / "state" / what).mkdir(parents=True)
    cluster = Cluster(tmp_path, NOBODY)
    assert status_of(cluster) == 1
    assert str(cluster.state / what.partition("/")[0]) in complaint(cluster)


def test_a_state_folder_that_is_in_use_is_1_and_says_by_whom(tmp_path: Path) -> None:
    with running(tmp_path, NOBODY) as first:
        until(lambda: "attempt 1" in first.text(), "the first cluster")
        second = Cluster(tmp_path, NOBODY)
        second.log = tmp_path / "second.log"
        assert status_of(second) == 1
        assert f"belongs to a cluster that runs as process {first.pid};" in complaint(second)


def test_an_events_address_that_is_taken_is_1_and_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        cluster = Cluster(tmp_path, NOBODY, events=f"{{bind: '{address}'}}")
        assert status_of(cluster) == 1
    assert complaint(cluster).startswith(f"can't bind {address}: Address already in use")
    assert complaint(cluster).endswith("; is another cluster running?")


def test_shards_beyond_what_discord_recommends_are_1_and_told_the_bounds(tmp_path: Path) -> None:
    with discord(Settings(shards=4)) as sim:
        cluster = Cluster(tmp_path, sim.api, shards="{ids: 2-5}")
        assert status_of(cluster) == 1
        assert sim.ledger.connections == []
    assert complaint(cluster) == (
        "shards.ids names shard 5, but Discord recommends 4 shards; "
        "write ids from 0 to 3, or set shards.count"
    )


def started(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[int, str]]:
    """Have each Python process that it starts note itself; return a look at them: process id → module."""
    notes = cluster.folder / "started"
    notes.mkdir()
    (notes / "sitecustomize.py").write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        f"Path({str(notes)!r}, str(os.getpid())).write_text(sys.orig_argv[3])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(notes))
    return lambda: {int(one.name): one.read_text() for one in notes.iterdir() if one.name.isdecimal()}


def test_who_must_not_start_starts_no_other_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path, NOBODY) as first:
        until(lambda: "attempt 1" in first.text(), "the first cluster")
        second = Cluster(tmp_path, NOBODY)
        second.log = tmp_path / "second.log"
        found = started(second, monkeypatch)
        assert status_of(second) == 1
        assert list(found().values()) == ["gwcluster"]
    wrong = Cluster(tmp_path, NOBODY, intents="MANY")
    assert status_of(wrong) == 78
    assert list(found().values()) == ["gwcluster", "gwcluster"]


def test_the_nursery_runs_before_discord_answers_and_forks_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = f"http://127.0.0.1:{silent.getsockname()[1]}/api/v10"
        with running(tmp_path, api) as cluster:
            silent.settimeout(20)
            connection, _ = silent.accept()
            with connection:
                (nursery,) = children(cluster.pid)
                until(lambda: children(nursery) == [], "the end of what it rehearses in a fork; workers stay")
                assert cluster.stop() == 0


def test_nothing_is_left_of_a_start_that_discord_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with discord(Settings(shards=2)) as sim:
        sim.rest_fault(status=401)
        cluster = Cluster(tmp_path, sim.api)
        found = started(cluster, monkeypatch)
        assert status_of(cluster) == 64
    assert sorted(found().values()) == ["gwcluster", "gwworker"]
    assert [pid for pid in found() if is_alive(pid)] == []
    assert [left for pid in found() for left in Path("/dev/shm").glob(f"gwcluster-{pid}-*")] == []
    assert not (cluster.state / "run").exists()
    assert "ended with status" not in cluster.text()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_discord_does_not_answer_is_0_and_quick(tmp_path: Path, signum: int) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    api = f"http://127.0.0.1:{silent.getsockname()[1]}/api/v10"
    with silent, running(tmp_path, api) as cluster:
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            assert cluster.process is not None
            cluster.process.send_signal(signum)
            assert cluster.process.wait(8) == 0  # the request itself would go on for 10 s
    assert "stopping before any shard was started" in cluster.text()
    assert "Traceback" not in cluster.text()
    assert not (cluster.state / "run").exists()


def test_a_stop_between_two_attempts_is_0_too(tmp_path: Path) -> None:
    with running(tmp_path, NOBODY) as cluster:
        until(lambda: "asking again in" in cluster.text(), "a failed attempt")
        assert cluster.stop() == 0


def test_each_line_of_a_json_log_is_an_object_with_time_level_logger_and_text(tmp_path: Path) -> None:
    with discord(Settings(shards=2, max_concurrency=2)) as sim:
        cluster = Cluster(tmp_path, sim.api)
        cluster.start("--log-format", "json")
        try:
            cluster.wait_ready()
            assert cluster.stop() == 0
        finally:
            assert cluster.process is not None
            cluster.process.kill()
            cluster.process.wait()
    records = [json.loads(line) for line in cluster.text().splitlines()]
    assert len(records) > 5
    for record in records:
        assert set(record) == {"time", "level", "logger", "text"}
        assert datetime.fromisoformat(record["time"]).utcoffset() is not None
    assert {record["level"] for record in records} == {"info"}
    assert "ready: all 2 shards are live" in [record["text"] for record in records]
    assert {"gwworker", "gwcluster.coordinator"} <= {record["logger"] for record in records}


def test_a_simulator_that_does_not_start_is_1_in_words(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, NOBODY, shards="{count: 1}")
    environ = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    script = (
        "import sys, subprocess\n"
        "from gwcluster.cli import main\n"
        "sys.executable = '/bin/false'\n"
        f"main(['run', '--simulate', {str(cluster.file)!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "the simulator did not start; what it said is above\n"


def test_a_fresh_start_for_which_too_little_is_left_is_1_with_the_numbers(tmp_path: Path) -> None:
    with discord(Settings(shards=2, identifies_used=899)) as sim:
        cluster = Cluster(tmp_path, sim.api)
        assert status_of(cluster, "--fresh") == 1
        assert sim.ledger.connections == []
    said = complaint(cluster)
    assert said.startswith(
        "2 of 2 shards need an IDENTIFY, and 1 may be spent: 101 of 1000 a day are left, 100"
    )
    assert said.endswith("wait, or allow it with --use-reserve")


def test_the_operator_may_let_a_start_have_of_the_reserve(tmp_path: Path) -> None:
    with discord(Settings(shards=2, max_concurrency=2, identifies_used=899)) as sim:
        cluster = Cluster(tmp_path, sim.api)
        process = cluster.start("--use-reserve")
        try:
            cluster.wait_ready()
            assert cluster.stop() == 0
        finally:
            process.kill()
            process.wait()
    assert "running 2 of 2 shards: 0 resume, 2 identify" in cluster.text()
