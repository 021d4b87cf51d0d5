"""`send`, `restart`, `status` and `top` against a cluster without workers, and `top` in a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gwcluster.cli import main
from gwcluster.wire.control import CommandDone
from support.config_files import LEAST, written
from support.small_cluster import SmallCluster
from support.statuses import FAILED, NOW, elsewhere, hosts, neighbour, shard, status

PRESENCE = '{"op": 3, "d": {}}'


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallCluster]:
    with SmallCluster(tmp_path) as cluster:
        cluster.document = status(shard(0), shard(1))
        binds = f"events: {{bind: '{cluster.events}'}}\nrequests: {{bind: '{cluster.requests}'}}\n"
        written(tmp_path, f"{LEAST}{binds}")
        yield cluster


def asked(tmp_path: Path, name: str, *arguments: str, said: str | None = None) -> Result:
    return CliRunner().invoke(main, [name, str(tmp_path / "cluster.yaml"), *arguments], input=said)


class Hands:
    """Restarts nothing; a document comes after each look."""

    def __init__(self, small: SmallCluster, *then: dict[str, Any], why: str | None = None) -> None:
        self.asked: list[int | str] = []
        self._small = small
        self._then = then
        self._why = why
        small.operations.hands = self

    def _did(self, what: int | str) -> str | None:
        self.asked.append(what)
        if self._then and self._why is None:
            self._small.document = self._then[0]
        return self._why

    def restart(self, shard: int) -> str | None:
        return self._did(shard)

    def restart_all(self) -> str | None:
        return self._did("all")

    def roll(self) -> str | None:
        return self._did("rolling")


def test_a_payload_is_sent_on_a_shard_or_on_that_of_a_guild(small: SmallCluster, tmp_path: Path) -> None:
    assert (found := asked(tmp_path, "send", "--shard", "1", PRESENCE)).exit_code == 0, found.output
    assert asked(tmp_path, "send", "--guild", str(1 << 22), "-", said=PRESENCE).stdout == "sent\n"
    assert small.sent == [(1, 3, {}), (1, 3, {})]


def test_what_is_not_sent_is_told_with_what_helps(small: SmallCluster, tmp_path: Path) -> None:
    small.settle = lambda command: CommandDone(command.id, "not_ready", "it is in backoff", 7.0, None)
    found = asked(tmp_path, "send", "--shard", "1", PRESENCE)
    assert found.exit_code == 1
    assert found.stderr.startswith("not sent: not_ready: it is in backoff; again in 7 s. look at `gwcluster")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([PRESENCE], "one of --shard and --guild is needed"),
        (["--shard", "1", "--guild", "2", PRESENCE], "one of --shard and --guild is needed"),
        (["--shard", "1", "{op: 3}"], "this is no JSON"),
        (["--shard", "1", "[]"], "should be an object"),
        (["--shard", "-1", PRESENCE], "--shard"),
    ],
)
def test_a_payload_that_can_not_be_one_is_wrong_usage(
    small: SmallCluster, tmp_path: Path, arguments: list[str], said: str
) -> None:
    found = asked(tmp_path, "send", *arguments)
    assert found.exit_code == 2
    assert said in found.stderr
    assert small.sent == []


def test_the_restart_of_a_shard_ends_when_another_worker_has_it_live(
    small: SmallCluster, tmp_path: Path
) -> None:
    hands = Hands(small, status(shard(0), shard(1, pid=900)))
    found = asked(tmp_path, "restart", "--shard", "1")
    assert found.exit_code == 0
    assert re.fullmatch(r"shard 1 is live again, after \d+\.\d s\n", found.stdout)
    assert hands.asked == [1]


def test_all_are_restarted_and_nobody_waits_who_does_not_want_to(small: SmallCluster, tmp_path: Path) -> None:
    hands = Hands(small)
    found = asked(tmp_path, "restart", "--all", "--no-wait")
    assert (found.exit_code, hands.asked) == (0, ["all"])


@pytest.mark.parametrize(
    ("rolled", "code", "said"),
    [
        ({"done": 2, "total": 2, "why": None, "at": NOW}, 0, "all 2 shards run on new workers"),
        (
            {"done": 0, "total": 2, "why": "the new nursery ended with status 1", "at": NOW},
            1,
            "shards: the new nursery ended with status 1. 2 shards were not replaced: they run the old code",
        ),
    ],
)
def test_a_rolling_restart_is_told_to_its_end(
    small: SmallCluster, tmp_path: Path, rolled: dict[str, Any], code: int, said: str
) -> None:
    hands = Hands(small, status(shard(0), shard(1), rolled=rolled))
    found = asked(tmp_path, "restart", "--rolling")
    assert (found.exit_code, hands.asked) == (code, ["rolling"])
    assert said in found.output


def test_a_restart_that_is_refused_says_why(small: SmallCluster, tmp_path: Path) -> None:
    Hands(small, why="the cluster is stopping")
    found = asked(tmp_path, "restart", "--rolling")
    said = "nothing is restarted: not_ready: the cluster is stopping\n"
    assert (found.exit_code, found.stderr) == (1, said)
    assert asked(tmp_path, "restart").exit_code == 2
    assert asked(tmp_path, "restart", "--all", "--rolling").exit_code == 2
    found = asked(tmp_path, "restart", "--shard", "7")
    assert (found.exit_code, "unknown_shard" in found.stderr) == (1, True)


def test_the_status_is_a_table_or_the_document_of_the_shards_that_are_chosen(
    small: SmallCluster, tmp_path: Path
) -> None:
    small.document = status(shard(0), shard(1, **FAILED))
    found = asked(tmp_path, "status")
    assert (found.exit_code, "1 ✗ failed" in found.stdout) == (0, True)
    found = asked(tmp_path, "status", "--bad", "--json")
    assert [each["shard"] for each in json.loads(found.stdout)["shard"]] == [1]
    assert "1 more are not shown" in asked(tmp_path, "status", "--state", "failed").stdout
    assert asked(tmp_path, "status", "--shard", "x").exit_code == 2


def test_a_file_that_is_not_there_is_a_bad_configuration(tmp_path: Path) -> None:
    for name, *more in (["status"], ["restart", "--all"], ["send", "--shard", "0", PRESENCE]):
        assert asked(tmp_path, name, *more).exit_code == 78


def test_top_needs_a_terminal(small: SmallCluster, tmp_path: Path) -> None:
    found = asked(tmp_path, "top")
    assert (found.exit_code, "top needs a terminal" in found.stderr) == (1, True)


@pytest.mark.parametrize("end", ["q", "\x03", signal.SIGTERM, signal.SIGHUP])
def test_top_shows_the_shards_and_leaves_the_terminal_as_it_was(
    small: SmallCluster, tmp_path: Path, end: str | signal.Signals
) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "gwcluster", "top", str(tmp_path / "cluster.yaml")],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color"},
        preexec_fn=lambda: os.close(os.open(os.ttyname(theirs), os.O_RDWR)),  # its controlling terminal
    )
    try:
        seen = _until(ours, b"\xe2\x97\x8f live")
        assert b"\x1b[?1049h" in seen
        if isinstance(end, str):
            os.write(ours, b"s")
            _until(ours, b"sorted by shard")
            os.write(ours, end.encode())
        else:
            process.send_signal(end)
        _until(ours, b"\x1b[?25h", b"\x1b[?1049l")
        assert process.wait(20) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
        os.close(theirs)


def _until(terminal: int, *words: bytes, seconds: float = 20.0) -> bytes:
    """Read what a program writes until it has written all these words."""
    seen, deadline = b"", time.monotonic() + seconds
    while not all(each in seen for each in words):
        assert time.monotonic() < deadline, f"waited for {words!r}; it was written: {seen[-2000:]!r}"
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 1 << 16)
    return seen


def two_hosts(*here: int) -> dict[str, Any]:
    """Return the status of host a, which has these of two shards; the others are b's."""
    there = [number for number in range(2) if number not in here]
    shards = [shard(number, host="a") if number in here else elsewhere(number, "b") for number in range(2)]
    return status(*shards, hosts=hosts("a", neighbour("a", here, draining=True), neighbour("b", there)))


def test_a_drain_is_told_until_no_shard_is_left(small: SmallCluster, tmp_path: Path) -> None:
    small.documents = iter([two_hosts(0, 1), two_hosts(0, 1), two_hosts(1), two_hosts()])
    small.operations.emptied = lambda: None
    found = asked(tmp_path, "drain")
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[:2] == ["2 shards left", "1 shard left"]
    assert re.fullmatch(r"no shard is left here, after \d+\.\d s", lines[2])


def test_a_drain_is_only_begun_for_who_does_not_want_to_wait(small: SmallCluster, tmp_path: Path) -> None:
    small.operations.emptied = lambda: None
    found = asked(tmp_path, "drain", "--no-wait")
    assert (found.exit_code, found.stdout) == (0, "begun; `gwcluster status` tells how it goes on\n")


def test_a_single_host_has_nobody_to_hand_its_shards_to(small: SmallCluster, tmp_path: Path) -> None:
    found = asked(tmp_path, "drain")
    assert found.exit_code == 1
    assert found.stderr.startswith(
        "nothing is handed to other hosts: not_ready: this cluster runs on one host"
    )


def test_the_status_of_several_hosts_has_a_line_for_each_and_shards_elsewhere_are_no_trouble(
    small: SmallCluster, tmp_path: Path
) -> None:
    small.document = two_hosts(1)
    found = asked(tmp_path, "status")
    assert "1 of 2 shards are this host's, 1 of 1 are ready · 1 elsewhere" in found.stdout
    assert "○ elsewhere" in found.stdout
    found = asked(tmp_path, "status", "--bad")
    assert "○ elsewhere" not in found.stdout
    assert json.loads(asked(tmp_path, "status", "--json").stdout) == small.document
