"""A whole cluster whose shard's disk is full, read-only, hangs or is taken away, and comes back.

Each time the shard stays live by the same worker, is `degraded` meanwhile and says why; in the end its log
goes on with what is published, in order.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gwcluster.log import Hole, Reader, Record
from gwsimulator import Settings, ThreadedSimulator
from support.asking import Asking, asking
from support.cluster import Cluster, Message, kill, running, subscribed, until
from support.discord import discord
from support.disks import bring_back, empty, fill, freezing_disk, frozen, immutable, small_disk, take_away

pytestmark = pytest.mark.e2e

SEQ_STANDS_STILL = {"I7"}
"""The seq in heartbeats is that of the last record, as long as there can't be another."""


def settings() -> Settings:
    return Settings(
        shards=2,
        guilds=4,
        rate=10.0,
        max_concurrency=2,
        heartbeat_interval_ms=3_000,
        heartbeat_tolerance=1.0,  # of so short an interval, a second before somebody stands in is a lot
    )


GONE_WITH_THE_FOLDER = {"I8"}
"""What was in it can't be had any more."""


class Scene:
    """A cluster of two shards; the log of the first is on a disk of its own."""

    def __init__(self, sim: ThreadedSimulator, cluster: Cluster, client: Asking) -> None:
        self.sim = sim
        self.cluster = cluster
        self.client = client
        self.received: list[Message] = []
        self.receive: Callable[[float], Message | None] = lambda seconds: None
        self.worker = cluster.workers(2)[0]

    def view(self) -> dict[str, Any]:
        """Return what the status says of the shard."""
        self.listen(0.0)
        view: dict[str, Any] = self.client.ask("status")["status"]["shard"][0]
        return view

    def listen(self, seconds: float) -> int:
        """Take what is published; return how many events of the shard came."""
        before, deadline = len(self.received), time.monotonic() + seconds
        while (message := self.receive(max(0.0, deadline - time.monotonic()))) is not None:
            if message.shard == 0 and message.is_logged:
                self.received.append(message)
        return len(self.received) - before

    def until_degraded(self, words: str) -> str:
        def said() -> str | None:
            degraded = self.view()["degraded"]
            return degraded if degraded is not None and words in degraded else None

        return until(said, f"`degraded` with {words!r}; the log:\n{self.cluster.text()}") or ""

    def until_well(self) -> None:
        until(lambda: self.view()["degraded"] is None, f"a disk that is well; {self.cluster.text()}")

    def beats(self) -> int:
        return sum(beat.shard == 0 for beat in list(self.sim.ledger.beats))

    def goes_on(self) -> None:
        """Meanwhile: events are published, heartbeats sent, and the shard is live."""
        beats = self.beats()
        until(lambda: self.beats() > beats, "a beat in spite of the disk")
        until(lambda: self.listen(0.5), "events that are published all the same")
        assert self.view()["state"] == "live"

    def all_is_there(self) -> None:
        """The same worker in the same session; and what was published is in the log, once, in order."""
        assert self.cluster.workers(2)[0] == self.worker
        assert self.view()["state"] == "live"
        assert (self.view()["resumes"], self.view()["identifies"], self.view()["restarts"]) == (0, 1, 0)
        last = self.view()["offset"]

        def arrived() -> bool:
            self.listen(0.1)
            return bool(self.received[-1].header["offset"] >= last)

        until(arrived, "the last event")
        offsets = [message.header["offset"] for message in self.received]
        assert offsets == list(range(offsets[0], offsets[-1] + 1))
        logged = {}
        for entry in until_in_log(self.cluster.state / "shards" / "0", offsets[-1]):
            assert not isinstance(entry, Hole), entry
            logged[entry.offset] = (entry.header, entry.payload)
        for message in self.received:
            if message.header["offset"] in logged:
                assert logged[message.header["offset"]] == tuple(message.frames[1:])
        assert offsets[-1] in logged
        self.complete = logged.keys() >= set(offsets)


def until_in_log(folder: Path, offset: int) -> list[Record | Hole]:
    def there() -> list[Record | Hole] | None:
        entries = list(Reader(folder).entries())
        last = entries[-1] if entries else None
        return entries if isinstance(last, Record) and last.offset >= offset else None

    return until(there, f"offset {offset} in the log") or []


@contextlib.contextmanager
def scene(folder: Path, disk: Path | None, excused: Collection[str] = (), **changed: str) -> Iterator[Scene]:
    """Run a cluster on a disk, until all shards are live and events flow.

    Args:
        folder: of everything else.
        disk: of the first shard's log; None: the disk of everything else.
        excused: invariants that the disk's trouble may break.
        changed: settings of the cluster.
    """
    shards = folder / "state" / "shards"
    shards.mkdir(parents=True)
    if disk is not None:
        (disk / "log").mkdir(mode=0o700)
        (shards / "0").symlink_to(disk / "log")
    with (
        discord(settings(), excused=excused) as sim,
        running(folder, sim.api, **changed) as cluster,
        asking(f"ipc://{folder}/requests") as (client,),
        subscribed(cluster.events) as receive,
    ):
        cluster.wait_ready()
        found = Scene(sim, cluster, client)
        found.receive = receive
        until(lambda: found.listen(0.1), "the first event")
        yield found
        cluster.stop()


def test_a_disk_that_hangs_holds_up_no_heartbeat_and_costs_nothing(tmp_path: Path) -> None:
    with freezing_disk(tmp_path) as disk, scene(tmp_path, disk, SEQ_STANDS_STILL) as play:
        with frozen(disk):
            degraded = play.until_degraded("the log's disk hasn't answered for")
            beats = play.beats()
            until(lambda: play.beats() >= beats + 3, "three beats while the disk hangs")
            assert play.view()["state"] == "live"
            longer = play.until_degraded("hasn't answered for")
            assert longer != degraded, "the pulses go on"
        play.until_well()
        play.all_is_there()
        assert play.complete
        assert "the log's disk doesn't answer" in play.cluster.text()
        assert "the log's disk answers again" in play.cluster.text()


@pytest.mark.parametrize(
    ("disk_of", "trouble", "end", "words"),
    [
        (small_disk, fill, empty, "No space left on device"),
        # The kernel makes no disk read-only while a file on it is open for writing; but a file.
        (freezing_disk, partial(immutable, on=True), partial(immutable, on=False), "Operation not permitted"),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_refuses_costs_nothing_within_the_backlog(
    tmp_path: Path,
    disk_of: Callable[[Path], AbstractContextManager[Path]],
    trouble: Callable[[Path], None],
    end: Callable[[Path], None],
    words: str,
) -> None:
    with disk_of(tmp_path) as disk, scene(tmp_path, disk, SEQ_STANDS_STILL) as play:
        trouble(disk)
        play.until_degraded(words)
        play.goes_on()
        end(disk)
        play.until_well()
        play.all_is_there()
        assert play.complete
        assert "the log of shard 0 can't be written" in play.cluster.text()
        assert "the log of shard 0 is written again" in play.cluster.text()


def test_a_disk_that_is_taken_away_and_comes_back_costs_nothing(tmp_path: Path) -> None:
    with freezing_disk(tmp_path) as disk, scene(tmp_path, disk, SEQ_STANDS_STILL) as play:
        device = take_away(disk)
        play.until_degraded("the log's folder is gone")
        play.goes_on()
        bring_back(disk, device)
        play.until_well()
        play.all_is_there()
        assert play.complete
        assert "the log of shard 0 has a folder again" in play.cluster.text()


def test_a_folder_that_is_removed_is_made_again_with_the_session_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "shards" / "0"
    with scene(tmp_path, None, {*SEQ_STANDS_STILL, *GONE_WITH_THE_FOLDER}) as play:
        shutil.rmtree(folder)
        folder.write_text("in the way")
        play.until_degraded("the log's folder is gone")
        play.goes_on()
        folder.unlink()
        play.until_well()
        play.all_is_there()
        until((folder / "session.json").exists, "the session")
        kill(play.worker)
        until(lambda: play.view()["resumes"] == 1, "a worker that resumes")
        assert play.view()["identifies"] == 0


def test_without_root_a_disk_is_mounted_in_a_namespace_of_its_own() -> None:
    if os.geteuid() == 0:
        pytest.skip("root needs none")
    command = ["unshare", "-rm"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no namespace in which to mount a disk")
    again = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    done = subprocess.run([*command, *again], capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout
