"""What a worker does besides its events (does): sync, mark, beacon, pulse, tidy up, and look at the clocks.

Hundreds of workers share a machine, and most of what a quiet one costs is being woken. So its turns come each
second only while there is something to sync or to write again, else with the beacons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, Protocol

from gwcluster.log.interface import LogWriter
from gwcluster.wire.control import Message, Pulse
from gwcluster.wire.notices import BEACON_INTERVAL_S
from gwworker.clocks import Clocks
from gwworker.disk import Disk
from gwworker.events import Doubted, Slept
from gwworker.heap import resident_bytes, trim
from gwworker.thrift import Thrift

SYNC_INTERVAL_S: Final = 1.0
TIDY_INTERVAL_S: Final = 60.0


class Shard(Protocol):
    """What is asked of `drive.Drive`."""

    def surprised(self, surprise: Slept | Doubted) -> None: ...
    def mind_disk(self) -> None: ...
    def keep(self) -> None: ...
    def beacon(self) -> None: ...
    def pulse(self, unpushed: int) -> Pulse: ...


class Rooms(Protocol):
    """What is asked of `outlet.Outlet`."""

    def mark(self) -> None: ...
    def tidy(self) -> None: ...


class Housekeeping:
    """Takes its turns on the running loop, from `begin` to `end`.

    Args:
        drive: is asked for beacons and pulses, and told of surprises.
        writer: of the log.
        disk: that of the log; rests meanwhile if there is nothing to do with it.
        outlet: marks and tidies.
        unpushed: returns how many events the fan-in had no room for.
        tell: sends a message to the coordinator.
        clocks: are compared at each turn.
        thread: runs syncs.
        jitter: returns a number from 0 up to 1, uniformly: workers that start together don't wake together.
        resident: returns how many bytes of this process are in memory.
        trim: gives back to the system what of it is free.
    """

    def __init__(
        self,
        drive: Shard,
        *,
        writer: LogWriter,
        disk: Disk,
        outlet: Rooms,
        unpushed: Callable[[], int],
        tell: Callable[[Message], None],
        clocks: Clocks,
        thread: Executor,
        jitter: Callable[[], float],
        resident: Callable[[], int] = resident_bytes,
        trim: Callable[[], None] = trim,
    ) -> None:
        self._drive = drive
        self._writer = writer
        self._disk = disk
        self._outlet = outlet
        self._unpushed = unpushed
        self._tell = tell
        self._clocks = clocks
        self._thread = thread
        self._resident = resident
        self._trim = trim
        self._thrift = Thrift(resident())
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._beacon_at = now + BEACON_INTERVAL_S * jitter()
        self._tidy_at = now + TIDY_INTERVAL_S * jitter()
        self._syncing: asyncio.Future[None] | None = None  # a slow disk must not hold up the rest
        self._timer: asyncio.Handle | None = None
        self._turn_at = now  # a timer that is due already can't tell: uvloop has it as a plain handle

    def begin(self) -> None:
        """Take the first turn with the first beacon, or in a second: the log was just opened."""
        self._disk.roused = self._roused
        self._wait(min(self._beacon_at, self._loop.time() + SYNC_INTERVAL_S))

    def end(self) -> None:
        """Take no more turns."""
        self._disk.roused = None
        if self._timer is not None:
            self._timer.cancel()

    def _roused(self) -> None:
        """The disk was resting, and is used."""
        at = self._loop.time() + SYNC_INTERVAL_S
        if self._timer is not None and self._turn_at > at:
            self._timer.cancel()
            self._wait(at)

    def _turn(self) -> None:
        self._wait(self.step(self._loop.time()))

    def _wait(self, at: float) -> None:
        self._turn_at = at
        self._timer = self._loop.call_at(at, self._turn)

    def step(self, now: float) -> float:
        """Do what is due at the loop's second `now`; return when there is more to do."""
        if (surprise := self._clocks.look()) is not None:
            self._drive.surprised(surprise)
        self._outlet.mark()
        self._drive.mind_disk()
        is_synced = self._syncing is None or self._syncing.done()
        if self._writer.dirty and is_synced:
            self._syncing = self._loop.run_in_executor(self._thread, self._disk.sync, self._writer.sync)
            is_synced = False
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
            self._tell(self._drive.pulse(self._unpushed()))
        if is_synced and not self._writer.dirty and self._writer.degraded is None:
            self._disk.rest()
            return self._beacon_at
        return min(self._beacon_at, now + SYNC_INTERVAL_S)
