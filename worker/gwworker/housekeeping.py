"""What a worker does once a second (does): syncs, marks, beacons, pulses and tidies up."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from gwcluster.log.writer import Writer
from gwcluster.wire.notices import BEACON_INTERVAL_S
from gwworker.bus_link import Control, Fanin
from gwworker.clocks import Clocks
from gwworker.disk import Disk
from gwworker.drive import Drive
from gwworker.heap import resident_bytes, trim
from gwworker.outlet import Outlet
from gwworker.thrift import Thrift

INTERVAL_S: Final = 1.0
TIDY_INTERVAL_S: Final = 60.0


class Housekeeping:
    """The chores of one shard; the phase is random so that workers don't do theirs together.

    Args:
        thread: syncs the log.
        resident: returns how many bytes of this process are in memory.
        trim: gives back to the system what of it is free.
    """

    def __init__(
        self,
        *,
        drive: Drive,
        writer: Writer,
        disk: Disk,
        outlet: Outlet,
        fanin: Fanin,
        control: Control,
        thread: Executor,
        resident: Callable[[], int] = resident_bytes,
        trim: Callable[[], None] = trim,
    ) -> None:
        self._drive = drive
        self._writer = writer
        self._disk = disk
        self._outlet = outlet
        self._fanin = fanin
        self._control = control
        self._thread = thread
        self._resident = resident
        self._trim = trim
        self._loop = asyncio.get_running_loop()
        self._clocks = Clocks(monotonic=time.monotonic, boot=_boot_time, wall=time.time)
        self._syncing: asyncio.Future[None] | None = None  # a slow disk must not hold up the rest
        self._thrift = Thrift(resident())
        self._beacon_at = time.monotonic() + random.random() * BEACON_INTERVAL_S
        self._tidy_at = time.monotonic() + random.random() * TIDY_INTERVAL_S

    async def keep(self) -> None:
        """Do what is due, once a second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.step(time.monotonic())

    def step(self, now: float) -> None:
        """Do what is due at monotonic second `now`."""
        if (surprise := self._clocks.look()) is not None:
            self._drive.surprised(surprise)
        self._outlet.mark()
        self._drive.mind_disk()
        if self._writer.dirty and (self._syncing is None or self._syncing.done()):
            self._syncing = self._loop.run_in_executor(self._thread, self._disk.sync, self._writer.sync)
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_INTERVAL_S
            self._outlet.tidy()
            self._drive.keep()
        if self._thrift.is_due(now) and self._thrift.look(self._resident(), now):
            self._trim()
            self._thrift.trimmed(self._resident(), now)
        if now >= self._beacon_at:
            self._beacon_at = now + BEACON_INTERVAL_S  # who was stopped for long makes up for none
            self._drive.beacon()
            self._control.tell(self._drive.pulse(self._fanin.unpushed))


def _boot_time() -> float:
    """Monotonic seconds that go on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
