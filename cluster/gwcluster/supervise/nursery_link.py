"""The coordinator's line to the nursery and to each worker (does)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gwcluster.errors import WireError
from gwcluster.wire.control import Exited, Fork, Forked, Message, Signal, Unframer, encode
from gwcluster.wire.logline import decode

LAST_WORDS_S: Final = 0.5
"""How long a stop waits for the end of what nursery and workers write to stderr."""

ANSWER_S: Final = 60.0
"""How long a nursery may take for what it does in milliseconds, its imports on a busy machine included. One
that hangs buries nobody, so each shard whose worker dies would have none from then on."""

_READ: Final = memoryview(bytearray(1 << 16))
"""Takes what comes from any worker. asyncio would map 256 KiB for each read, and unmap them again."""

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Whoever supervises."""

    def forked(self, shard: int, pid: int) -> None:
        """A worker runs."""

    def exited(self, shard: int, pid: int, status: int) -> None:
        """A worker ended and was buried."""

    def nursery_ended(self, status: int) -> None:
        """The nursery ended, and every worker with it."""

    def said(self, shard: int, message: Message) -> None:
        """A worker sent a message."""


class WorkerLink(asyncio.BufferedProtocol):
    """The control channel of one worker; it ends with either side."""

    def __init__(self, shard: int, listener: Listener) -> None:
        self._shard = shard
        self._listener = listener
        self._unframer = Unframer()
        self._transport: asyncio.Transport | None = None
        self._early: list[Message] = []
        self._closed = False
        self._then: Callable[[], None] | None = None

    def when_closed(self, then: Callable[[], None]) -> None:
        """Call `then` once everything that the worker said has been heard."""
        if self._closed:
            then()
        else:
            self._then = then

    def tell(self, message: Message) -> None:
        """Send a message to the worker."""
        if self._transport is None:
            self._early.append(message)
        elif not self._transport.is_closing():
            self._transport.write(encode(message))

    def close(self) -> None:
        """Hang up: the worker leaves."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what was said before."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        for message in self._early:
            transport.write(encode(message))
        self._early.clear()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Lend room for one read."""
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self.data_received(bytes(_READ[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Hand over the messages that `data` completes."""
        try:
            for message in self._unframer.feed(data):
                self._listener.said(self._shard, message)
        except WireError as error:
            log.error("shard %d: control channel closed: %s", self._shard, error)
            self.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        """Everything was heard."""
        self._closed = True
        if self._then is not None:
            self._then()


class _StderrReader(asyncio.Protocol):
    """Turns what nursery and workers write to stderr into our log."""

    def __init__(self) -> None:
        self._rest = b""
        self.ended = asyncio.Event()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if self._rest:
            self.data_received(b"\n")
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > 1 << 16:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            record = decode(line)
            who = "nursery or worker" if record.shard is None else f"shard {record.shard}"
            logging.getLogger("gwworker").log(record.level, "%s: %s", who, record.text)


class NurseryLink:
    """One nursery process.

    Args:
        listener: told what happens, on the loop.
        environ: the nursery's environment; must not hold the token.
        jetstream: whether its workers keep their logs in JetStream.
        answer_s: how long it may owe an answer and say nothing before it is killed, in seconds.
    """

    def __init__(
        self,
        listener: Listener,
        environ: Mapping[str, str],
        *,
        jetstream: bool = False,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.listener = listener
        """Whoever is told; another one may take over as long as nothing was asked."""
        self._environ = dict(environ)
        self._more = ("jetstream",) if jetstream else ()
        self._unframer = Unframer()
        self._answer_s = answer_s
        self.answered = False
        """Whether it has done anything yet, so that its code could be loaded."""
        self._owed = 0  # answers
        self._overdue: asyncio.TimerHandle | None = None
        self._outbox: deque[tuple[bytes, socket.socket | None]] = deque()
        self._socket: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stderr: tuple[asyncio.ReadTransport, _StderrReader] | None = None

    async def start(self) -> None:
        """Start the process, unless it was started already.

        Raises:
            OSError: it can't be started.
        """
        if self._process is not None:
            return
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)  # a worker must never wait for a reader of its log
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "gwworker", str(theirs.fileno()), *self._more),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=[theirs.fileno()],
                env=self._environ,
                start_new_session=True,
            )
        except OSError:
            ours.close()
            os.close(read_end)
            raise
        finally:
            theirs.close()
            os.close(write_end)
        ours.setblocking(False)
        self._socket = ours
        loop.add_reader(ours, self._read)
        self._stderr = await loop.connect_read_pipe(_StderrReader, os.fdopen(read_end, "rb", buffering=0))
        self._watch = loop.create_task(self._wait())

    def fork(self, shard: int) -> WorkerLink:
        """Ask for a worker; return our end of its control channel."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        link = WorkerLink(shard, self.listener)
        task = loop.create_task(loop.create_unix_connection(lambda: link, sock=ours))
        task.add_done_callback(lambda done: done.exception())
        self._send(Fork(shard), theirs)
        return link

    def signal(self, pid: int, signum: int) -> None:
        """Signal a worker; the nursery does it, as only it knows whether the pid is still its child's."""
        self._send(Signal(pid, signum), None)

    async def stop(self) -> None:
        """End the nursery: it leaves when its line closes."""
        if self._watch is not None:
            self._watch.cancel()
        self._hang_up()
        if self._process is not None:
            try:
                async with asyncio.timeout(1.0):
                    await self._process.wait()
            except TimeoutError:
                self.kill()
                await self._process.wait()
        if self._stderr is not None:
            transport, reader = self._stderr
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_S):
                    await reader.ended.wait()
            transport.close()

    def kill(self) -> None:
        """Kill the nursery, and with it every worker, at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # Not Process.kill: that looks for the status itself, and asyncio then reports 255.
                os.kill(self._process.pid, signal.SIGKILL)

    def _send(self, message: Message, descriptor: socket.socket | None) -> None:
        self._outbox.append((encode(message), descriptor))
        self._owed += 1
        if self._overdue is None:
            self._await_answer()
        self._flush()

    def _await_answer(self) -> None:
        """Begin to wait for the next answer, if one is owed; it is read before a timer that is late fires."""
        if self._overdue is not None:
            self._overdue.cancel()
        waits = self._owed and self._socket is not None
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(self._answer_s, self._give_up) if waits else None

    def _give_up(self) -> None:
        log.error(
            "the nursery has not answered for %.0f s; killing it, and its workers with it", self._answer_s
        )
        self.kill()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._outbox and self._socket is not None:
            data, descriptor = self._outbox[0]
            try:
                if descriptor is None:
                    sent = self._socket.send(data)
                else:
                    sent = socket.send_fds(self._socket, [data], [descriptor.fileno()])
            except BlockingIOError:
                loop.add_writer(self._socket, self._flush)
                return
            except (BrokenPipeError, ConnectionResetError):
                return  # `_wait` tells that the nursery ended
            if descriptor is not None:
                descriptor.close()
            if sent < len(data):
                self._outbox[0] = (data[sent:], None)
            else:
                self._outbox.popleft()
        if self._socket is not None:
            loop.remove_writer(self._socket)

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16)
            for message in self._unframer.feed(data):
                self._take(message)
        except ConnectionResetError:  # it was killed with something unread
            data = b""
        except WireError as error:
            log.error("the nursery talks nonsense, so it is killed: %s", error)
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._socket)
            self.kill()

    def _take(self, message: Message) -> None:
        if isinstance(message, Forked | Signal):
            self.answered = True
            self._owed -= 1
            self._await_answer()
        match message:
            case Forked():
                self.listener.forked(message.shard, message.pid)
            case Signal():
                pass  # it was sent
            case Exited():
                self.listener.exited(message.shard, message.pid, message.status)
            case _:
                log.error("a %s message is not for a coordinator", type(message).__name__)

    async def _wait(self) -> None:
        assert self._process is not None
        status = await self._process.wait()
        self._hang_up()
        self.listener.nursery_ended(status)

    def _hang_up(self) -> None:
        for _, descriptor in self._outbox:
            if descriptor is not None:
                descriptor.close()
        self._outbox.clear()
        if self._socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
