"""A call that really doesn't return, and the thread that stands in for the one in it."""

from __future__ import annotations

import logging
import os
import threading
import time

import pytest

from gwworker.disk import Disk


class Clock:
    def __init__(self) -> None:
        self.now = 10_000.0

    def __call__(self) -> float:
        return self.now


class Stuck:
    """Reads from a pipe into which nobody writes, within a block, in a thread of its own."""

    def __init__(self, disk: Disk) -> None:
        self.left: list[str] = []
        self._disk = disk
        self._read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        while disk._since is None:
            time.sleep(0.001)

    def _run(self) -> None:
        with self._disk:
            os.read(self._read, 1)
        self.left.append("left")

    def answer(self) -> None:
        os.write(self._write, b"x")

    def ended(self) -> list[str]:
        self._thread.join(20)
        assert not self._thread.is_alive()
        os.close(self._read)
        os.close(self._write)
        return self.left


def rig() -> tuple[Clock, Disk, list[object]]:
    clock, acts = Clock(), list[object]()
    disk = Disk(clock)
    disk.stand_in = acts.append
    disk.answered = lambda: acts.append("answered")
    return clock, disk, acts


def test_somebody_stands_in_for_a_call_that_takes_longer_than_a_second() -> None:
    clock, disk, acts = rig()
    disk.look()
    stuck = Stuck(disk)
    clock.now += 0.9
    disk.look()
    assert (acts, disk.silence) == ([], None)
    clock.now += 0.2
    disk.look()
    clock.now += 5.0
    disk.look()
    assert acts == [10_001.1, 10_006.1]
    assert disk.silence == "the log's disk hasn't answered for 6 s"
    stuck.answer()
    assert stuck.ended() == ["left"]
    assert acts[2:] == ["answered"]
    assert disk.silence is None
    disk.look()
    with disk:
        pass
    assert len(acts) == 3


def test_who_has_returned_is_not_stood_in_for_and_hears_nothing_of_it() -> None:
    clock, disk, acts = rig()
    with disk:
        clock.now += 5.0
    clock.now += 5.0
    disk.look()
    with disk:
        clock.now += 0.5
        disk.look()
    assert acts == []


def test_no_block_is_left_while_somebody_stands_in() -> None:
    clock, disk, _ = rig()
    stuck = Stuck(disk)
    clock.now += 2.0
    left: list[bool] = []

    def stand_in(now: float) -> None:
        stuck.answer()
        time.sleep(0.2)  # the call has returned long since
        left.append(bool(stuck.left))

    disk.stand_in = stand_in
    disk.look()
    assert stuck.ended() == ["left"]
    assert left == [False]


def test_a_block_that_ended_just_before_the_look_is_another_block() -> None:
    clock, disk, acts = rig()

    class Late:
        """A lock that comes when the block has been left and another one entered."""

        def __enter__(self) -> None:
            disk._since = clock.now

        def __exit__(self, *_: object) -> None:
            pass

    with disk:
        clock.now += 2.0
        lock, disk._lock = disk._lock, Late()  # type: ignore[assignment]
        disk.look()
        disk._lock = lock
    assert acts == []


def test_errors_pass_and_the_block_is_over() -> None:
    clock, disk, acts = rig()

    def refused() -> None:
        with disk:
            clock.now += 2.0
            disk.look()
            raise OSError("x")

    with pytest.raises(OSError, match="x"):
        refused()
    assert acts == [10_002.0, "answered"]
    clock.now += 2.0
    disk.look()
    assert len(acts) == 2


def test_it_is_said_once_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    clock, disk, _ = rig()
    with disk:
        for _ in range(3):
            clock.now += 4.0
            disk.look()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "the log's disk doesn't answer; heartbeats go on, events wait at Discord's end"),
        (logging.WARNING, "the log's disk answers again, after 12 s"),
    ]


def test_a_sync_that_does_not_end_is_told_too_but_nobody_waits_for_it() -> None:
    clock, disk, acts = rig()

    def sync() -> None:
        clock.now += 4.9
        assert disk.silence is None
        clock.now += 0.2
        disk.look()
        assert disk.silence == "the log's disk hasn't finished a sync for 5 s"

    disk.sync(sync)
    assert (disk.silence, acts) == (None, [])


@pytest.mark.parametrize("broken", [False, True])
def test_a_thread_looks_once_a_second_whatever_comes_of_it(
    broken: bool, caplog: pytest.LogCaptureFixture
) -> None:
    disk, stood_in = Disk(time.monotonic), threading.Semaphore(0)

    def stand_in(now: float) -> None:
        stood_in.release()
        if broken:
            raise ValueError("x")

    disk.stand_in = stand_in
    disk.watch()
    with disk:
        assert [stood_in.acquire(timeout=20) for _ in range(2)] == [True, True]
    disk.stop()
    assert ("bug while" in caplog.text) is broken


class Looks:
    """Stands for the end of looking: notes each wait before a look, and lets nobody wait for real."""

    def __init__(self, most: int) -> None:
        self.waits: list[float] = []
        self._most = most
        self.reached = threading.Event()

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        if len(self.waits) < self._most:
            return False
        self.reached.set()
        return True


def test_the_thread_that_looks_sleeps_until_the_disk_is_used_again() -> None:
    _, disk, _ = rig()
    roused: list[str] = []
    disk.roused = lambda: roused.append("roused")
    looks = disk._stopped = Looks(3)  # type: ignore[assignment]
    disk.rest()
    disk.watch()
    assert not looks.reached.wait(0.1)
    assert looks.waits == []
    for _ in range(2):
        with disk:
            assert looks.reached.wait(20)
    assert looks.waits == [1.0, 1.0, 1.0]
    assert roused == ["roused"]


def test_a_call_that_hangs_just_when_the_disk_had_rested_is_stood_in_for() -> None:
    disk, stood_in = Disk(time.monotonic), threading.Semaphore(0)
    disk.stand_in = lambda now: stood_in.release()
    disk.rest()
    disk.watch()
    began = time.monotonic()
    with disk:
        assert stood_in.acquire(timeout=20)
    assert time.monotonic() - began >= 1.0
    disk.stop()
