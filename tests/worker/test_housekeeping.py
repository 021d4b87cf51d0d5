"""When a worker wakes though nothing came: counted, on a clock that jumps."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvloop

from gwcluster.log.writer import Writer
from gwcluster.wire.control import Message, Pulse
from gwsimulator.virtual_time import run
from gwworker.clocks import Clocks
from gwworker.disk import Disk
from gwworker.events import Doubted, Slept
from gwworker.housekeeping import Housekeeping

PULSE = Pulse(0, 0, 0, 0, 0, None, None, None, 0, 0, 0, 0, None)


MIB = 1 << 20


class Rig:
    """Housekeeping over a real log; notes when what was done, in seconds since its beginning."""

    def __init__(
        self, folder: Path, *, jitter: float = 0.5, resident: Callable[[float], int] = lambda _: 20 * MIB
    ) -> None:
        loop = asyncio.get_running_loop()
        self.done: list[tuple[str, float]] = []
        self.degraded: str | None = None
        self.asleep_s = 0.0
        self.disk = Disk(loop.time)
        self._clock = loop.time
        self._start = loop.time()
        self.writer = Writer.open(
            folder,
            shard=0,
            shards=1,
            retention_bytes=1 << 20,
            retention_age_s=3600.0,
            new_epoch=lambda: secrets.token_hex(8),
            wall=loop.time,
        )
        self.writer.sync()
        self.housekeeping = Housekeeping(
            self,
            writer=self.writer,
            disk=self.disk,
            outlet=self,
            unpushed=lambda: 7,
            tell=self.tell,
            clocks=Clocks(monotonic=loop.time, boot=lambda: loop.time() + self.asleep_s, wall=self._wall),
            thread=ThreadPoolExecutor(1),
            jitter=lambda: jitter,
            resident=lambda: resident(loop.time() - self._start),
            trim=lambda: self._note("trim"),
        )
        self.housekeeping.begin()

    def _wall(self) -> float:
        return self._clock() + self.asleep_s

    def _note(self, what: str) -> None:
        self.done.append((what, round(self._clock() - self._start, 3)))

    def times(self, what: str) -> list[float]:
        return [moment for each, moment in self.done if each == what]

    def write(self) -> None:
        """Write an event to the log."""
        self.writer.append("TYPING_START", b"{}", session=1, seq=None, at=0.0)
        with self.disk:
            self.writer.flush()

    # What it does

    def mark(self) -> None:
        self._note("turn")

    def tidy(self) -> None:
        self._note("tidy")

    def mind_disk(self) -> None:
        if self.writer.dirty:
            self._note("sync")

    def keep(self) -> None:
        self._note("keep")

    def beacon(self) -> None:
        self._note("beacon")

    def pulse(self, unpushed: int) -> Pulse:
        assert unpushed == 7
        return PULSE

    def tell(self, message: Message) -> None:
        self._note(type(message).__name__)

    def surprised(self, surprise: Slept | Doubted) -> None:
        self._note(str(surprise))


def test_a_quiet_worker_wakes_for_its_beacons_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.25)
        await asyncio.sleep(60.0)
        assert rig.times("turn") == [0.5 + 2.0 * number for number in range(30)]
        assert rig.times("beacon") == rig.times("Pulse") == rig.times("turn")
        assert rig.times("sync") == []

    run(scene())


def test_what_is_written_is_synced_within_a_second_and_then_it_is_quiet_again(tmp_path: Path) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.5)
        await asyncio.sleep(11.125)  # beacons come at odd seconds
        rig.write()
        await asyncio.sleep(8.75)
        after = [moment for moment in rig.times("turn") if moment > 11.0]
        assert rig.times("sync") == [12.125]
        assert after == [12.125, 13.0, 15.0, 17.0, 19.0]
        assert rig.times("beacon")[-4:] == [13.0, 15.0, 17.0, 19.0]
        assert not rig.writer.dirty

    run(scene())


def test_one_that_writes_all_the_time_syncs_once_a_second(tmp_path: Path) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.5)
        for _ in range(100):
            await asyncio.sleep(0.1)
            rig.write()
        assert rig.times("sync") == [float(number) for number in range(1, 11)]
        assert rig.times("beacon") == [1.0, 3.0, 5.0, 7.0, 9.0]

    run(scene())


def test_what_the_disk_refuses_is_tried_again_each_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.5)
        await asyncio.sleep(3.5)
        monkeypatch.setattr(Writer, "degraded", "the log can't be written: x")
        rig.write()
        await asyncio.sleep(5.0)
        assert rig.times("turn")[2:] == [4.5, 5.0, 6.0, 7.0, 8.0]

    run(scene())


def test_workers_that_start_together_do_not_wake_together(tmp_path: Path) -> None:
    async def scene() -> None:
        rigs = [Rig(tmp_path / str(number), jitter=number / 8) for number in range(8)]
        await asyncio.sleep(29.9)
        assert [rig.times("turn")[-1] for rig in rigs] == [28.0 + number / 4 for number in range(8)]

    run(scene())


def test_a_machine_that_slept_is_noticed_with_the_next_beacon(tmp_path: Path) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.5)
        await asyncio.sleep(3.5)
        rig.asleep_s = 30.0
        await asyncio.sleep(3.0)
        assert rig.times(str(Slept(30.0))) == [5.0]

    run(scene())


def test_once_a_minute_it_tidies(tmp_path: Path) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.5)
        await asyncio.sleep(180.0)
        assert rig.times("tidy") == rig.times("keep") == [31.0, 91.0, 151.0]

    run(scene())


def test_what_a_start_took_is_given_back_once_it_is_over(tmp_path: Path) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.5, resident=lambda elapsed_s: round(min(20 + elapsed_s, 35) * MIB))
        await asyncio.sleep(60.0)
        (first, *_) = rig.times("trim")
        assert 15.0 < first <= 25.0

    run(scene())


def test_a_worker_that_needs_no_more_than_before_is_left_alone(tmp_path: Path) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path)
        await asyncio.sleep(300.0)
        assert rig.times("trim") == []

    run(scene())


def test_nothing_is_done_after_the_end(tmp_path: Path) -> None:
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.5)
        rig.housekeeping.end()
        rig.write()
        await asyncio.sleep(10.0)
        assert rig.done == []

    run(scene())


def test_the_disk_may_be_used_while_a_turn_is_due_already(tmp_path: Path) -> None:
    # uvloop has a timer that is due at once as a handle that doesn't know when.
    async def scene() -> None:
        rig = Rig(tmp_path, jitter=0.0)
        rig.disk.rest()
        with rig.disk:
            pass
        rig.housekeeping.end()

    uvloop.run(scene())
