"""Workers and their nursery inside the loop under test: the same parts, without processes."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import signal
import socket
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gwcluster.log.session_state import FileSessions
from gwcluster.log.writer import LogBusy, Writer
from gwcluster.supervise.nursery_link import Listener, NurseryLink, WorkerLink
from gwcluster.wire.control import Job, Message
from gwcluster.wire.exits import WorkerExit
from gwcluster.wire.notices import BEACON_INTERVAL_S
from gwworker.bus_link import Control, Fanin
from gwworker.clocks import Clocks
from gwworker.disk import Disk
from gwworker.drive import Drive
from gwworker.outlet import Outlet

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
AGENT = "DiscordBot (https://example.test, 1)"

Frames = tuple[bytes, bytes, bytes]


class Published(Fanin):
    """Where events of workers under test go.

    Args:
        take: gets the three frames of each event.
    """

    def __init__(self, take: Callable[[Frames], None]) -> None:
        self.unpushed = 0
        self._take = take

    @property
    def waiting(self) -> int:
        return 0

    def push(self, events: Iterable[Frames]) -> None:
        for frames in events:
            self._take(frames)

    def publish(self, topic: bytes, header: bytes, payload: bytes) -> None:
        """Take what the coordinator says itself."""
        self._take((topic, header, payload))

    async def listen(self, seen: Callable[[int, str], None]) -> None:
        """Wait until cancelled; the scene tells what has been published."""
        del seen
        await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        """Nothing to close."""


class InLoopWorker:
    """One shard, made of what a worker process is made of.

    Attributes:
        drive: None until the job came and the log was free.
    """

    def __init__(
        self, shard: int, pid: int, end: socket.socket, nursery: InLoopNursery, jitter: Callable[[], float]
    ) -> None:
        self.shard = shard
        self.pid = pid
        self.drive: Drive | None = None
        self.job: Job | None = None
        self._end = end
        self._nursery = nursery
        self._jitter = jitter
        self._writer: Writer | None = None
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._control = Control(self._heard, lambda why: self._end_with(WorkerExit.ORPHANED))
        self._early: list[Message] = []
        self.task = asyncio.get_running_loop().create_task(self._run(), name=f"worker {shard}")

    def kill(self) -> None:
        """End at once, as SIGKILL does: nothing is said, nothing is closed in an orderly way."""
        self._end_with(-signal.SIGKILL)

    def cut_off(self, cut: bool = True) -> None:
        """Stop reading what the coordinator says, as a worker does that gets no CPU, or go on."""
        assert self._control._transport is not None
        if cut:
            self._control._transport.pause_reading()
        else:
            self._control._transport.resume_reading()

    def hang(self) -> None:
        """Do nothing any more and don't die, as a worker does whose disk doesn't answer."""
        assert self.drive is not None
        assert self.drive.link is not None
        assert self.drive.link._transport is not None
        self.cut_off()
        self._housekeeping.cancel()
        self.drive.link._transport.pause_reading()
        if self.drive._timer is not None:
            self.drive._timer.cancel()

    def drain(self) -> None:
        """What SIGTERM does."""
        if self.drive is None:
            self._end_with(WorkerExit.DONE)
        else:
            self.drive.drain()

    def _end_with(self, status: int) -> None:
        if not self._status.done():
            self._status.set_result(status)

    def _heard(self, message: Message) -> None:
        if isinstance(message, Job):
            self.job = self._nursery.change(message)
            self._open(self.job)
        elif self.drive is not None:
            self.drive.heard(message)

    def _open(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._writer = Writer.open(
                Path(job.folder),
                shard=job.shard,
                shards=job.shards,
                retention_bytes=job.retention_bytes,
                retention_age_s=job.retention_age_s,
                new_epoch=lambda: secrets.token_hex(8),
                wall=self._nursery.wall,
            )
        except LogBusy:
            self._end_with(WorkerExit.BUSY)
            return
        disk = Disk(loop.time)
        self.outlet = Outlet(job, self._writer, self._nursery.fanin, disk=disk, wall=self._nursery.wall)
        self.drive = Drive(
            job,
            writer=self._writer,
            sessions=FileSessions(Path(job.folder)),
            disk=disk,
            outlet=self.outlet,
            control=self._control,
            tls=NO_TLS,
            user_agent=AGENT,
            jitter=self._jitter,
            clock=loop.time,
            wall=self._nursery.wall,
            finish=self._end_with,
        )
        loop.call_soon(self.drive.begin)

    async def _run(self) -> None:
        await self._control.attach(self._end)
        self._housekeeping = asyncio.create_task(self._keep_house())
        status = await self._status
        self._housekeeping.cancel()
        if self.drive is not None and self.drive.link is not None:
            if status >= 0:
                await asyncio.wait([self.drive.link.closed], timeout=2.0)
            self.drive.link.abort()
        if self.drive is not None and self.drive._timer is not None:
            self.drive._timer.cancel()  # the dead don't dial
        if self._writer is not None:
            if status >= 0:
                self.outlet.flush()
                self._writer.close()
                if self.drive is not None:
                    self.drive.keep()
            else:
                self._writer._output._tail.close()  # the kernel lets go of the lock, and nobody marks the end
        if self._control._transport is not None:
            self._control._transport.close()
        self._nursery.ended(self, status)

    async def _keep_house(self) -> None:
        loop = asyncio.get_running_loop()
        clocks = Clocks(monotonic=loop.time, boot=self._nursery.boot, wall=self._nursery.wall)
        while True:
            await asyncio.sleep(1.0)
            if self.drive is None:
                continue
            if (surprise := clocks.look()) is not None:
                self.drive.surprised(surprise)
            self.outlet.mark()
            if loop.time() % BEACON_INTERVAL_S < 1.0:
                self.drive.beacon()
                self._control.tell(self.drive.pulse(self._nursery.fanin.unpushed))


class InLoopNursery(NurseryLink):
    """Starts workers as objects instead of processes.

    Args:
        boot: see `gwworker.clocks.Clocks`.
        jitter: of a shard's worker.
        crash: while it returns an exit status for a shard, its workers end with it at once.
        change: makes another job of each worker's.
    """

    def __init__(
        self,
        listener: Listener,
        *,
        fanin: Published,
        wall: Callable[[], float],
        boot: Callable[[], float],
        jitter: Callable[[], float],
        crash: Callable[[int], int | None] = lambda shard: None,
        change: Callable[[Job], Job] = lambda job: job,
    ) -> None:
        super().__init__(listener, {})
        self.fanin = fanin
        self.wall = wall
        self.boot = boot
        self.workers: dict[int, InLoopWorker] = {}
        self._jitter = jitter
        self._crash = crash
        self.change = change
        self._pids = itertools.count(100)

    async def start(self) -> None:
        """Nothing to start."""
        self.answered = True

    def fork(self, shard: int) -> WorkerLink:
        """Start a worker in this loop."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        link = WorkerLink(shard, self.listener)
        attaching = loop.create_task(loop.create_unix_connection(lambda: link, sock=ours))
        attaching.add_done_callback(lambda done: done.exception())
        worker = InLoopWorker(shard, next(self._pids), theirs, self, self._jitter)
        self.workers[shard] = worker
        loop.call_soon(self.listener.forked, shard, worker.pid)
        if (status := self._crash(shard)) is not None:
            loop.call_soon(worker._end_with, status)
        return link

    def signal(self, pid: int, signum: int) -> None:
        """SIGKILL or SIGTERM."""
        for worker in self.workers.values():
            if worker.pid == pid:
                worker.kill() if signum == signal.SIGKILL else worker.drain()

    def ended(self, worker: InLoopWorker, status: int) -> None:
        """A worker is over."""
        if self.workers.get(worker.shard) is worker:
            del self.workers[worker.shard]
        self.listener.exited(worker.shard, worker.pid, status)

    async def stop(self) -> None:
        """Kill what is left."""
        left: list[asyncio.Task[Any]] = [worker.task for worker in self.workers.values()]
        for worker in list(self.workers.values()):
            worker.kill()
        await asyncio.gather(*left)
