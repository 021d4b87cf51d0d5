"""One worker process (does): the composition root of a shard, from its job to its exit status."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import signal
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import uvloop

from gwcluster.errors import LogError
from gwcluster.log.interface import LogWriter, SessionStore
from gwcluster.log.lock import take_folder
from gwcluster.log.session_state import FileSessions
from gwcluster.log.writer import LogBusy, Writer
from gwcluster.wire.control import Job, Leased, Message, Pulse
from gwcluster.wire.exits import WorkerExit
from gwcluster.wire.notices import BEACON_INTERVAL_S
from gwworker.bus_link import Control, Fanin
from gwworker.clocks import Clocks
from gwworker.disk import Disk
from gwworker.drive import Drive
from gwworker.heap import give_back_zeros
from gwworker.housekeeping import Housekeeping
from gwworker.lease import Lease
from gwworker.logs import log_to_pipe
from gwworker.outlet import Outlet
from gwworker.patiently import patiently

JOB_S: Final = 10.0
BUSY_S: Final = 5.0
"""How long to wait for a predecessor that still holds the log; the kernel lets go when it is dead."""

CLOSE_S: Final = 2.0

_Got = TypeVar("_Got")

_NO_FIGURES: Final = Pulse(0, 0, 0, 0, 0, None, None, None, 0, 0, 0, -1, None)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker has and its rehearsal hasn't: threads, luck and an end."""

    syncs: Callable[[], Executor]
    watch: Callable[[Disk], None]
    jitter: Callable[[], float]
    leave: Callable[[WorkerExit], object]


_REAL: Final = Means(
    syncs=partial(ThreadPoolExecutor, 1),
    watch=Disk.watch,
    jitter=random.random,
    leave=os._exit,
)


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop. uvloop's has 250 KB for reads in itself, of which nearly nothing is ever used here."""
    loop = uvloop.new_event_loop()
    give_back_zeros(loop)
    return loop


def run(shard: int, end: socket.socket, tls: ssl.SSLContext, user_agent: str) -> WorkerExit:
    """Run one shard until it is told to stop, refused, or alone; return the exit status.

    Args:
        shard: for the log, before the job is known.
        end: our end of the socket pair to the coordinator; closed by it, or by its death, we exit.
        tls: shared with every worker, since they were forked from one process.
    """
    log_to_pipe(shard)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_run(end, tls, user_agent))


async def _run(end: socket.socket, tls: ssl.SSLContext, user_agent: str) -> WorkerExit:
    worker = Worker(tls, user_agent, _REAL)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
    return await worker.run(end)


class Worker:
    """One shard, from its job to its exit status.

    Args:
        tls: what connections are verified with.
        user_agent: sent in handshakes.
        means: those of the process.
    """

    def __init__(self, tls: ssl.SSLContext, user_agent: str, means: Means) -> None:
        self._means = means
        self._tls = tls
        self._user_agent = user_agent
        self._job: asyncio.Future[Job] = asyncio.Future()
        self._finished: asyncio.Future[WorkerExit] = asyncio.Future()
        self._drive: Drive | None = None
        self._disk = Disk(time.monotonic)
        self._fanin: Fanin | None = None
        self._pulse_at = 0.0
        self.housekeeping: Housekeeping | None = None
        self._lease = Lease(clock=_boot_time, ended=self._unleased)

    async def run(self, end: socket.socket) -> WorkerExit:
        """See `run`, with everything that a loop is needed for."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._failed)
        control = Control(self._heard, self._orphaned)
        disk = self._disk
        disk.stand_in = partial(self._stand_in, control)
        disk.answered = self._disk_answered
        self._means.watch(disk)
        await control.attach(end)
        async with asyncio.timeout(JOB_S):
            job = await self._job
        opened = await _open_log(job, disk, self._fenced, partial(self._opens, control))
        if isinstance(opened, WorkerExit):
            return opened
        writer = opened.writer
        fanin = self._fanin = Fanin(job.fanin.removeprefix("ipc://"))
        outlet = Outlet(job, writer, fanin, disk=disk, wall=time.time)
        drive = Drive(
            job,
            writer=writer,
            sessions=opened.sessions,
            disk=disk,
            outlet=outlet,
            control=control,
            tls=self._tls,
            user_agent=self._user_agent,
            jitter=self._means.jitter,
            clock=time.monotonic,
            wall=time.time,
            finish=self.finish,
        )
        self._drive = drive
        housekeeping = self.housekeeping = Housekeeping(
            drive,
            writer=writer,
            disk=disk,
            outlet=outlet,
            unpushed=lambda: fanin.unpushed,
            tell=control.tell,
            clocks=Clocks(monotonic=time.monotonic, boot=_boot_time, wall=time.time),
            thread=self._means.syncs(),
            jitter=self._means.jitter,
        )
        housekeeping.begin()
        drive.begin()
        status = await self._finished
        housekeeping.end()
        self._lease.close()
        if drive.link is not None:
            await asyncio.wait([drive.link.closed], timeout=CLOSE_S)
            drive.link.abort()
        outlet.flush()
        drive.keep()
        await writer.finish()
        with disk:
            writer.close()
        await opened.leave()
        await fanin.close()
        return status

    def _heard(self, message: Message) -> None:
        if isinstance(message, Job):
            if not self._job.done():
                self._job.set_result(message)
                if message.stop_at is not None:
                    self._lease.heard(Leased(message.stop_at))
        elif isinstance(message, Leased):
            self._lease.heard(message)
        elif self._drive is not None:
            self._drive.heard(message)

    def _stand_in(self, control: Control, now: float) -> None:
        """Do what can't wait until the disk answers: beats, and pulses that say what is the matter."""
        if self._drive is not None:
            self._drive.stand_in(now)
        if now >= self._pulse_at:
            self._pulse_at = now + BEACON_INTERVAL_S
            drive, fanin = self._drive, self._fanin
            figures = _NO_FIGURES if drive is None or fanin is None else drive.pulse(fanin.unpushed)
            control.tell(replace(figures, degraded=self._disk.silence))

    @staticmethod
    def _opens(control: Control, why: str) -> None:
        """Say that we live: whoever says nothing for long is killed."""
        control.tell(replace(_NO_FIGURES, degraded=why))

    def _disk_answered(self) -> None:
        if self._drive is not None:
            self._drive.disk_answered()

    def drain(self) -> None:
        """Stop, and keep the session."""
        if self._drive is None:
            self._means.leave(WorkerExit.DONE)
        else:
            self._drive.drain()

    def finish(self, status: WorkerExit) -> None:
        """There is nothing left to do."""
        if not self._finished.done():
            self._finished.set_result(status)

    def _unleased(self) -> None:
        """Leave at once, before another host dials; a successor resumes."""
        log.error("leaving: this host's lease on the shard was not renewed in time")
        self._means.leave(WorkerExit.UNLEASED)

    def _fenced(self, why: str) -> None:
        """Leave at once: another worker writes the shard's log, and it resumes the session."""
        if not self._finished.done():
            log.error("leaving: %s", why)
            self._means.leave(WorkerExit.FENCED)

    def _orphaned(self, why: str) -> None:
        """Leave at once and leave the session as it is: every record is written, a successor resumes."""
        if not self._finished.done():
            log.error("leaving, the coordinator is gone: %s", why)
            self._means.leave(WorkerExit.ORPHANED)

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        log.error(
            "bug: %s", context.get("message"), exc_info=error if isinstance(error, BaseException) else None
        )
        self.finish(WorkerExit.FAILED)


def _boot_time() -> float:
    """Monotonic seconds that go on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def _nothing() -> None:
    """Leave no connection: there is none."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A shard's log, what is kept beside it, and how to leave what it is kept in."""

    writer: LogWriter
    sessions: SessionStore
    leave: Callable[[], Awaitable[None]] = _nothing


async def _open_log(
    job: Job, disk: Disk, fenced: Callable[[str], None], tell: Callable[[str], None]
) -> Opened | WorkerExit:
    try:
        if job.nats is not None:
            return await _open_jetstream(job, job.nats, fenced, tell)
        return Opened(await _open_files(job, disk), FileSessions(Path(job.folder)))
    except LogBusy as error:
        log.error("another process writes this shard's log: %s", error)
        return WorkerExit.BUSY
    except LogError as error:
        log.error("the shard's log can't be opened: %s", error)
        return WorkerExit.FAILED


async def _open_files(job: Job, disk: Disk) -> Writer:
    def attempt() -> Writer:
        with disk:
            return Writer.open(
                Path(job.folder),
                shard=job.shard,
                shards=job.shards,
                retention_bytes=job.retention_bytes,
                retention_age_s=job.retention_age_s,
                new_epoch=lambda: secrets.token_hex(8),
                wall=time.time,
            )

    return await _unless_busy(attempt)


async def _unless_busy(attempt: Callable[[], _Got]) -> _Got:
    """Return what an attempt gives, also if a predecessor is dying still."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            return attempt()
        except LogBusy:
            if time.monotonic() >= deadline:
                raise
        await asyncio.sleep(0.02)


async def _open_jetstream(
    job: Job, nats: dict[str, Any], fenced: Callable[[str], None], tell: Callable[[str], None]
) -> Opened:
    from gwcluster.log.jetstream.answers import NoAnswer
    from gwcluster.log.jetstream.opening import Taking, take

    # The coordinator before us may have died this moment, and its worker, which has a connection, not yet.
    lock = await _unless_busy(lambda: take_folder(Path(job.folder)))
    taking = Taking(
        nats,
        shard=job.shard,
        shards=job.shards,
        retention_bytes=job.retention_bytes,
        retention_age_s=job.retention_age_s,
    )
    log = await patiently(
        lambda: take(
            taking,
            fenced=fenced,
            new_id=lambda: secrets.token_hex(8),
            clock=time.monotonic,
            wall=time.time,
        ),
        NoAnswer,
        tell=tell,
        each_s=BEACON_INTERVAL_S,
        tries=1 if job.stop_at is None else None,  # as long as this host has the lease
    )

    async def leave() -> None:
        await log.leave()
        os.close(lock)

    return Opened(log.writer, log.sessions, leave)
