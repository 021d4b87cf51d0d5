"""The nursery (does): loads all of a worker's code once, and forks workers.

A fork shares the pages of it with all its siblings, so a shard costs a few megabytes instead of a whole
interpreter. That holds only while nothing here writes to them: no thread, event loop or ZeroMQ context is
there at a fork, and the garbage collector no longer walks the heap, which is laid out for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import resource
import select
import signal
import socket
import ssl
import sys
from collections import deque
from importlib.metadata import version
from types import CodeType
from typing import Final

from gwcluster.wire.control import Exited, Fork, Forked, Message, Signal, Unframer, encode
from gwcluster.wire.exits import WorkerExit
from gwworker.heap import fill_holes, gather
from gwworker.libc import LIBC
from gwworker.logs import log_to_pipe
from gwworker.ran import noted, noted_in_fork
from gwworker.rehearsal import LIFE_S, rehearse, rehearse_with_threads
from gwworker.worker import run

MAX_DESCRIPTORS: Final = 64
"""Most that one read takes over; the kernel limits a message to 253."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NAME: Final = 15

log = logging.getLogger(__name__)


def main(descriptor: int, *, jetstream: bool = False) -> None:
    """Serve the coordinator at the other end of `descriptor` until it closes it.

    Args:
        descriptor: of a socket.
        jetstream: workers keep their logs there, so what that takes is loaded for all of them.
    """
    _die_with_parent(os.getppid())
    log_to_pipe(None)
    _be_private()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if jetstream:
        import gwcluster.log.jetstream.opening  # noqa: F401 - who has one host needs no memory for it
    tls = client_tls()
    agent = f"DiscordBot (https://github.com/gwcluster/gwcluster, {version('gwcluster')})"
    filling = _lay_out()
    gc.freeze()
    _Nursery(socket.socket(fileno=descriptor), tls, agent).serve()
    filling.clear()


def client_tls() -> ssl.SSLContext:
    """Return what connections to Discord are verified with; it takes nothing older than TLS 1.2.

    Sources:
        https://docs.discord.com/developers/reference
    """
    tls = ssl.create_default_context()
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return tls


def _lay_out() -> list[object]:
    """Have workers share as much of this heap as they can; return what fills it, to be kept."""
    filling: list[object] = []
    try:
        with noted() as ran:
            rehearse(2)
        ran |= _ran_in_fork()
        filling += fill_holes()
        gather(ran)
        ran.clear()  # the old code; where it was is to be filled, too
        rehearse()
    except (OSError, RuntimeError) as error:
        log.warning("no rehearsal, so each shard will need some megabytes more: %s", error)
    gc.collect()
    filling += fill_holes()
    return filling


def _ran_in_fork() -> set[CodeType]:
    """Return what a worker runs beside its rehearsed life: its threads, and what comes of being a fork."""
    nursery = os.getpid()

    def life() -> None:
        _die_with_parent(nursery)
        try:
            rehearse_with_threads()
        except (OSError, RuntimeError) as error:
            log.warning("no rehearsal with threads: %s", error)
            raise

    return noted_in_fork(life, within_s=LIFE_S)


class _Nursery:
    def __init__(self, coordinator: socket.socket, tls: ssl.SSLContext, agent: str) -> None:
        self._coordinator = coordinator
        self._tls = tls
        self._agent = agent
        self._unframer = Unframer()
        self._ends: deque[int] = deque()
        self._children: dict[int, int] = {}
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Fork, signal and bury until the coordinator is gone."""
        poll = select.poll()
        poll.register(self._coordinator, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
                self._bury()
            if self._coordinator.fileno() in ready and not self._listen():
                return

    def _listen(self) -> bool:
        data, ends, _, _ = socket.recv_fds(self._coordinator, 1 << 16, MAX_DESCRIPTORS)
        self._ends.extend(ends)
        for message in self._unframer.feed(data):
            self._obey(message)
        return bool(data)

    def _obey(self, message: Message) -> None:
        match message:
            case Fork():
                self._fork(message.shard, self._ends.popleft())
            case Signal():
                if message.pid in self._children:  # the child of a late signal was buried already
                    os.kill(message.pid, message.signal)
                self._tell(message)
            case _:
                pass

    def _fork(self, shard: int, end: int) -> None:
        assert len(os.listdir("/proc/self/task")) == 1, "a nursery with threads must not fork"  # noqa: PTH208
        nursery = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:  # no memory or no processes left: those that run are to go on
            log.error("shard %d: no worker can be forked: %s", shard, error)
            os.close(end)
            self._tell(Forked(shard, 0))
            self._tell(Exited(shard, 0, WorkerExit.FAILED))
            return
        if pid == 0:
            self._be_worker(shard, end, nursery)
        os.close(end)
        self._children[pid] = shard
        self._tell(Forked(shard, pid))

    def _be_worker(self, shard: int, end: int, nursery: int) -> None:
        status: int = WorkerExit.FAILED
        try:
            _die_with_parent(nursery)
            signal.set_wakeup_fd(-1)
            os.close(self._waker)
            os.close(self._wake)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._coordinator.close()
            for spare in self._ends:
                os.close(spare)
            _name(f"gwworker {shard}")
            status = run(shard, socket.socket(fileno=end), self._tls, self._agent)
        except BaseException:  # whatever it was, this process ends below
            log.exception("bug: this worker ends")
        finally:
            os._exit(status)

    def _bury(self) -> None:
        while self._children:
            pid, code = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            shard = self._children.pop(pid)
            self._tell(Exited(shard, pid, os.waitstatus_to_exitcode(code)))

    def _tell(self, message: Message) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the end of file follows
            self._coordinator.sendall(encode(message))


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; look again, it may be dead already."""
    if sys.platform == "linux":
        if LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(WorkerExit.ORPHANED)


def _be_private() -> None:
    """Leave no memory dump, which would hold the token, and let no process of the same user look inside.

    A fork inherits both. A limit alone is of no use where the kernel pipes dumps to a program.

    Sources:
        https://man7.org/linux/man-pages/man5/core.5.html
        https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        if LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")


def _name(name: str) -> None:
    if sys.platform == "linux":
        LIBC.prctl(_PR_SET_NAME, name.encode())
