"""A whole cluster whose shard's disk is full, read-only, hangs or is taken away, and comes back.

Each time the shard stays live by the same worker, is `degraded` meanwhile and says why; in the end its log
goes on with what is published, in order.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gwcluster.log import Hole, Reader, Record
from gwsimulator import Settings, ThreadedSimulator
from support.asking import Asking, asking
from support.cluster import Cluster, Message, running, subscribed, until
from support.discord import discord
from support.disks import empty, fill, freezing_disk, frozen, remount, small_disk

pytestmark = pytest.mark.e2e

SEQ_STANDS_STILL = {"I7"}
"""The seq in heartbeats is that of the last record, as long as there can't be another."""


def settings() -> Settings:
    return Settings(
        shards=2,
        guilds=4,
        rate=10.0,
        max_concurrency=2,
        heartbeat_interval_ms=4_000,
        heartbeat_tolerance=0.75,  # of so short an interval, a second before somebody stands in is a lot
    )


class Scene:
    """A cluster of two shards; the log of the first is on a disk of its own."""

    def __init__(self, sim: ThreadedSimulator, cluster: Cluster, client: Asking, disk: Path) -> None:
        self.sim = sim
        self.cluster = cluster
        self.client = client
        self.disk = disk
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
def scene(folder: Path, disk: Path, excused: Collection[str] = (), **changed: str) -> Iterator[Scene]:
    """Run a cluster on a disk, until all shards are live and events flow.

    Args:
        folder: of everything else.
        disk: of the first shard's log.
        excused: invariants that the disk's trouble may break.
        changed: settings of the cluster.
    """
    shards = folder / "state" / "shards"
    shards.mkdir(parents=True)
    (disk / "log").mkdir(mode=0o700)
    (shards / "0").symlink_to(disk / "log")
    with (
        discord(settings(), excused=excused) as sim,
        running(folder, sim.api, **changed) as cluster,
        asking(f"ipc://{folder}/requests") as (client,),
        subscribed(cluster.events) as receive,
    ):
        cluster.wait_ready()
        found = Scene(sim, cluster, client, disk)
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
    ("trouble", "end", "words"),
    [
        (fill, empty, "No space left on device"),
        (partial(remount, options="ro"), partial(remount, options="rw"), "Read-only file system"),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_refuses_costs_nothing_within_the_backlog(
    tmp_path: Path, trouble: Callable[[Path], None], end: Callable[[Path], None], words: str
) -> None:
    with small_disk(tmp_path, 2) as disk, scene(tmp_path, disk, SEQ_STANDS_STILL) as play:
        trouble(disk)
        play.until_degraded(words)
        beats = play.beats()
        until(lambda: play.beats() > beats, "a beat while the disk refuses")
        assert play.listen(2.0) > 5, "events are published all the same"
        assert play.view()["state"] == "live"
        end(disk)
        play.until_well()
        play.all_is_there()
        assert play.complete
        assert "the log of shard 0 can't be written" in play.cluster.text()
        assert "the log of shard 0 is written again" in play.cluster.text()
