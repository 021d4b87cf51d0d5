"""The follower in Node: behind a line that loses events, while the cluster and it itself are killed."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

from gwsimulator import Settings, ThreadedSimulator
from support.cluster import kill, running, until
from support.discord import discord
from support.lossy import Lossy
from support.node_example import NODE, install

pytestmark = pytest.mark.e2e

NAMES: Final = ("MESSAGE_CREATE", "MESSAGE_UPDATE")
EVENT: Final = re.compile(r"shard (\d+) offset (\d+): (\w+) session (\d+) seq (\d+|null)")


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, with what it needs."""
    return install(tmp_path_factory.mktemp("node"))


class Follower:
    """The program in a process of its own, and the lines it has printed; may be started several times."""

    def __init__(self, node_folder: Path, *arguments: str) -> None:
        self.lines: list[str] = []
        self._command = [str(NODE), str(node_folder / "follow.mjs"), *arguments]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, args=[self._process])
        self._reader.start()

    def kill(self) -> None:
        if self._process is not None and self._reader is not None:
            self._process.kill()
            self._process.wait()
            self._reader.join()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as out:
            self.lines += (line.rstrip("\n") for line in out)

    @property
    def events(self) -> dict[tuple[int, str], list[tuple[int, str]]]:
        """(shard, name) → offset and seq of each event, as printed."""
        found = defaultdict(list)
        for line in self.lines:
            match = EVENT.fullmatch(line)
            if match is not None:
                found[int(match[1]), match[3]].append((int(match[2]), match[5]))
        return found


def talk(sim: ThreadedSimulator) -> None:
    """Let things happen on each shard."""
    for _ in range(4):
        for shard in (0, 1):
            sim.emit_random(shard, 25)


@pytest.mark.parametrize("names", [NAMES, ()], ids=["some names", "every event"])
def test_it_gets_every_event_once_and_in_order_whatever_is_lost_and_whoever_is_killed(
    names: tuple[str, ...], node_folder: Path, tmp_path: Path
) -> None:
    address = f"ipc://{tmp_path}/lossy"
    follower = Follower(
        node_folder,
        *("--events", address, "--requests", f"ipc://{tmp_path}/requests"),
        *("--position", str(tmp_path / "position"), "--oldest", *names),
    )
    with (
        discord(Settings(shards=2, guilds=4, max_concurrency=2, buffer_events=10_000)) as sim,
        running(tmp_path, sim.api) as cluster,
        Lossy(cluster.events, address, NAMES) as line,
    ):
        cluster.wait_ready()

        def sent() -> dict[tuple[int, str], list[str]]:
            found = defaultdict(list)
            for one in sim.ledger.dispatches():
                found[one.shard, one.name].append(str(one.seq))
            return found

        def has_all(names: tuple[str, ...] = NAMES) -> bool:
            got = {key: list(dict.fromkeys(seq for _, seq in rows)) for key, rows in follower.events.items()}
            return all(got.get(key) == seqs for key, seqs in sent().items() if key[1] in names)

        try:
            follower.start()
            talk(sim)
            until(has_all, f"the first events: {follower.lines[-20:]}")
            talk(sim)
            kill(cluster.pid)
            assert cluster.process is not None
            cluster.process.wait()
            talk(sim)
            cluster.start()
            cluster.wait_ready(2)
            talk(sim)
            before = len(follower.lines)
            until(lambda: len(follower.lines) > before + 5, "more events")
            follower.kill()
            first = len(follower.lines)
            talk(sim)
            follower.start()
            talk(sim)
            until(has_all, "the rest")
            if not names:
                until(lambda: has_all(tuple(name for _, name in sent())), "the rest of other names")
        finally:
            follower.kill()
        assert cluster.stop() == 0
        assert line.lost > 50
        assert first < len(follower.lines)
        assert [one for one in follower.lines if EVENT.fullmatch(one) is None] == []
        repeated = 0
        for rows in follower.events.values():
            offsets = [offset for offset, _ in rows]
            assert sorted(set(offsets)) == list(dict.fromkeys(offsets))
            repeated += len(offsets) - len(set(offsets))
        assert repeated <= 1  # what was handed out when it was killed
