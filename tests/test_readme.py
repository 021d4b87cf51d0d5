"""Runs what the README shows: its commands, its subscribers and the demo."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgpack
import pytest
import zmq

from support.cluster import Cluster, until

ROOT: Final = Path(__file__).parents[1]
BLOCKS: Final = re.findall(
    r"^```(\w+)\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
)
COMMANDS: Final = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]

RUN: Final = {
    "./scripts/demo": './scripts/demo "$CONFIG" --seconds 4',
    "./scripts/setup": "./scripts/setup",
    ". .venv/bin/activate": ". .venv/bin/activate",
    "gwcluster version": "gwcluster version",
    "gwcluster check cluster.yaml": "gwcluster check cluster.yaml",
    "gwcluster run cluster.yaml --simulate": (
        'timeout --preserve-status --signal=TERM 5 gwcluster run "$CONFIG" --simulate'
    ),
    "gwcluster tail cluster.yaml --event MESSAGE_CREATE --shard 0": (
        'gwcluster tail "$RUNNING" --event MESSAGE_CREATE --shard 0 --count 1'
    ),
    "gwcluster status cluster.yaml": 'gwcluster status "$RUNNING"',
    """gwcluster send cluster.yaml --shard 0 '{"op": 3, "d": {"status": "idle"}}'""": (
        """gwcluster send "$RUNNING" --shard 0 '{"op": 3, "d": {"status": "idle"}}'"""
    ),
    "gwcluster restart cluster.yaml --shard 3": 'gwcluster restart "$RUNNING" --shard 0',
    "gwcluster restart cluster.yaml --rolling": 'gwcluster restart "$RUNNING" --rolling',
}
"""What is run for a command of the README: itself, but for its file and its end."""

NOT_RUN: Final = {
    "./scripts/test": "runs this",
    "export DISCORD_TOKEN=the-token-of-the-bot": "every command here has one",
    "gwcluster plan cluster.yaml": "needs a token that Discord takes",
    "gwcluster run cluster.yaml": "the same",
    "gwcluster top cluster.yaml": "goes on until it is ended; has tests of its own",
    "python examples/bot.py": "has tests of its own with the library's page",
}

API: Final = "http://127.0.0.1:9/api/v10"
"""Nobody is there; --simulate knows better."""

MESSAGE_LINE: Final = re.compile(r"shard 0 offset \d+: \w+\n")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A simulated cluster of one shard, ready."""
    cluster = Cluster(tmp_path_factory.mktemp("running"), API, shards="{count: 1}")
    process = cluster.start("--simulate")
    try:
        cluster.wait_ready()
        yield cluster
        assert cluster.stop() == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose traces are all below `tmp_path`."""
    (tmp_path / "tmp").mkdir()
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": commands, "TMPDIR": str(tmp_path / "tmp"), "XDG_STATE_HOME": str(tmp_path / "state")}
    return {**os.environ, **own, "DISCORD_TOKEN": "not-a-real-token"}


def processes(environ: dict[str, str]) -> list[str]:
    """Return the command lines of the processes that run with an environment like this."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={environ['TMPDIR']}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # ended meanwhile, or not ours
            continue
    return found


def test_every_command_in_the_readme_is_run_or_known_not_to_be() -> None:
    assert set(COMMANDS) == RUN.keys() | NOT_RUN.keys()


@pytest.mark.e2e
@pytest.mark.parametrize("command", RUN)
def test_commands_in_the_readme_work(
    command: str, environ: dict[str, str], cluster: Cluster, tmp_path: Path
) -> None:
    own = Cluster(tmp_path, API, shards="{count: 1}")
    environ |= {"CONFIG": str(own.file), "RUNNING": str(cluster.file)}
    done = subprocess.run(["sh", "-c", RUN[command]], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert processes(environ) == []
    assert list((tmp_path / "tmp").iterdir()) == []


# The subscribers


def test_the_readme_shows_the_bot_as_it_is() -> None:
    (shown,) = (text for kind, text in BLOCKS if kind == "python")
    assert shown == (ROOT / "examples" / "bot.py").read_text()


@pytest.mark.parametrize("file", ["bot.py", "subscriber.py", "node/subscriber.mjs"])
def test_what_begins_a_bot_is_short(file: str) -> None:
    assert len((ROOT / "examples" / file).read_text().splitlines()) <= 30


def test_the_readme_shows_what_subscribers_print() -> None:
    (printed,) = (text for kind, text in BLOCKS if kind == "text")
    assert all(MESSAGE_LINE.fullmatch(line) for line in printed.splitlines(keepends=True))


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the Node subscriber, with what it needs."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("there is no node and npm on this machine")
    folder = tmp_path_factory.mktemp("node") / "example"
    shutil.copytree(ROOT / "examples" / "node", folder, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run([npm, "install", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder


@pytest.fixture(params=["python", "node"])
def subscriber(request: pytest.FixtureRequest) -> list[str]:
    """A subscriber's command line, but for the address."""
    if request.param == "python":
        return [sys.executable, str(ROOT / "examples" / "subscriber.py")]
    folder: Path = request.getfixturevalue("node_folder")
    return ["node", str(folder / "subscriber.mjs")]


@pytest.mark.e2e
def test_subscribers_print_messages_of_a_real_cluster(subscriber: list[str], cluster: Cluster) -> None:
    with subprocess.Popen([*subscriber, cluster.events], stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            lines = [program.stdout.readline() for _ in range(10)]
        finally:
            program.kill()
    assert all(MESSAGE_LINE.fullmatch(line) for line in lines), lines


def message(offset: int, prev: int | None, epoch: str = "a" * 16, version: int = 1) -> list[bytes]:
    """Return the frames of a message on shard 3."""
    header = {"v": version, "shard": 3, "shards": 8, "epoch": epoch, "offset": offset, "prev": prev}
    return _frames("MESSAGE_CREATE", header, {"author": {"username": "ann"}})


def beacon(last: int) -> list[bytes]:
    """Return the frames of a beacon of shard 3, whose last message is at offset `last`."""
    header = {"v": 1, "shard": 3, "shards": 8, "epoch": "a" * 16, "offset": last + 4, "prev": None}
    return _frames("GWCLUSTER_BEACON", header, {"names": {"READY": 0, "MESSAGE_CREATE": last}})


def _frames(name: str, header: dict[str, Any], data: dict[str, Any]) -> list[bytes]:
    header |= {"session": 1, "seq": 1, "at": 1767225600.25}
    payload = json.dumps({"t": name, "s": 1, "op": 0, "d": data}).encode()
    return [f"{name}.3.".encode(), msgpack.packb(header), payload]


@pytest.mark.e2e
def test_subscribers_say_where_messages_may_be_missing(subscriber: list[str]) -> None:
    said = [
        (message(5, 3), ["shard 3 offset 5: ann"]),
        (beacon(5), []),
        (message(6, 5), ["shard 3 offset 6: ann"]),
        (message(9, 8), ["shard 3: messages may be missing after offset 6", "shard 3 offset 9: ann"]),
        (beacon(12), ["shard 3: messages may be missing after offset 9"]),
        (message(13, 12), ["shard 3 offset 13: ann"]),
        (
            message(0, None, epoch="b" * 16),
            ["shard 3: messages may be missing after offset 13", "shard 3 offset 0: ann"],
        ),
        (message(14, 13, version=2), []),
    ]
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.setsockopt(zmq.LINGER, 0)
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        program = subprocess.Popen(
            [*subscriber, f"tcp://127.0.0.1:{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with program:
            try:
                for _ in ("MESSAGE_CREATE.", "GWCLUSTER_BEACON."):
                    assert publisher.poll(20_000)
                    publisher.recv()
                for frames, _ in said:
                    publisher.send_multipart(frames)
                out, error = program.communicate(timeout=20)
            finally:
                program.kill()
    assert out.splitlines() == [line for _, lines in said for line in lines]
    assert program.returncode == 1
    assert "wire version 2; this program reads version 1" in error


# The demo


@pytest.mark.e2e
def test_the_demo_shows_events_and_leaves_nothing_after_ctrl_c(
    environ: dict[str, str], tmp_path: Path
) -> None:
    config = Cluster(tmp_path, API, shards="{count: 1}").file
    command = [str(ROOT / "scripts" / "demo"), str(config), "--seconds", "60"]
    demo = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with demo:
        assert demo.stdout is not None
        shown = iter(demo.stdout.readline, "")
        assert any(line.startswith("event       MESSAGE_CREATE") for line in shown)
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
        rest = demo.stdout.read()
        assert demo.wait() == 0
    assert "events of 1 shard: in order, none missing" in rest
    until(lambda: processes(environ) == [], "the processes' end")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.e2e
def test_the_demo_says_when_its_address_is_taken(environ: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        config = Cluster(tmp_path, API, shards="{count: 1}", events=f"{{bind: '{address}'}}").file
        command = [str(ROOT / "scripts" / "demo"), str(config), "--seconds", "30"]
        demo = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20)
    assert demo.returncode == 1
    assert f"can't bind {address}" in demo.stdout
    assert "stop that, or run the demo with another file" in demo.stderr
    assert processes(environ) == []


def test_the_demo_counts_what_is_missing_or_out_of_order() -> None:
    shard = runpy.run_path(str(ROOT / "examples" / "demo.py"))["Shard"]
    whole, gap, twice, short, chain = (shard() for _ in range(5))
    for seen in (whole, gap, twice, short, chain):
        seen.came("READY", 0, None)
    whole.came("MESSAGE_CREATE", 1, None)
    whole.told(1)
    gap.came("MESSAGE_CREATE", 3, None)
    twice.came("READY", 0, None)
    short.told(4)
    chain.came("READY", 1, None)
    assert (whole.missing, whole.disordered, whole.broken, whole.faults) == (0, 0, 0, 0)
    assert (gap.missing, gap.faults) == (2, 2)
    assert (twice.disordered, twice.faults) == (1, 1)
    assert (short.missing, short.faults) == (4, 4)
    assert (chain.broken, chain.faults) == (1, 1)
