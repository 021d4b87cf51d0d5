"""Whole lives of a worker on nothing (does): what every worker will run, run before the forks.

CPython rewrites a function's code as it first runs, and fills caches. Done in the nursery, the result is
shared by all workers; done in each worker, each has copies of those pages. A life has a gateway on loopback,
a coordinator and a log, but no thread and no end of the process; when it is over, nothing of it is
left. It saves memory, and nothing else depends on it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from gwcluster.wire import control as c
from gwcluster.wire.exits import WorkerExit
from gwworker.disk import Disk
from gwworker.housekeeping import TIDY_INTERVAL_S
from gwworker.logs import log_to_pipe, set_level
from gwworker.stage import Coordinator, Gateway, Pull
from gwworker.worker import Means, Worker, new_loop

ROUNDS: Final = 16
"""Beyond the eight runs after which CPython rewrites a function, of resumed sessions and of new ones."""

LIFE_S: Final = 5.0
STEP_S: Final = 0.001
_COMPRESSIONS: Final = ("zstd-stream", "zlib-stream", "none")
_SHM: Final = Path("/dev/shm")  # noqa: S108 - where a sync costs nothing; `tempfile` makes a private folder in it


def rehearse(rounds: int = ROUNDS, *, life_s: float = LIFE_S) -> None:
    """Run through a worker's life some times; needs no network and leaves nothing behind.

    Args:
        rounds: how many lives.
        life_s: how long one may take; it takes some hundredths.

    Raises:
        OSError, RuntimeError: it didn't work. Workers will need more memory, and that is all.
    """
    _rehearse(rounds, life_s, _MEANS)


def rehearse_with_threads() -> None:
    """Run through a worker's life with all that it has; for a process that ends afterwards.

    Raises:
        OSError, RuntimeError: it didn't work.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _rehearse(
        len(_COMPRESSIONS), LIFE_S, replace(_MEANS, syncs=partial(ThreadPoolExecutor, 1), watch=Disk.watch)
    )


def _rehearse(rounds: int, life_s: float, means: Means) -> None:
    _sweep(_SHM)
    with (
        _silent(),
        socket.create_server(("127.0.0.1", 0)) as listener,
        tempfile.TemporaryDirectory(
            prefix=f"gwcluster-{os.getpid()}-", dir=_SHM if os.access(_SHM, os.W_OK) else None
        ) as folder,
    ):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each life waits for late ACKs
        for number in range(rounds):
            compression = _COMPRESSIONS[number % len(_COMPRESSIONS)]
            session = Path(folder) / str(number // 2)  # every other life resumes what the one before began
            session.mkdir(exist_ok=True)
            with asyncio.Runner(loop_factory=new_loop) as runner:
                runner.run(_life(session, listener, compression, life_s, means))


def _sweep(folder: Path) -> None:
    """Remove what rehearsals left behind whose process was killed in them: it is memory."""
    for left in folder.glob("gwcluster-*-*"):
        if not Path("/proc", left.name.split("-")[1]).exists():
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _silent() -> Iterator[None]:
    """Have log lines written, but not to anybody."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    log_to_pipe(0, nowhere)
    try:
        yield
    finally:
        root.handlers = handlers
        set_level(root, level)
        os.close(nowhere)


async def _life(folder: Path, listener: socket.socket, compression: str, life_s: float, means: Means) -> None:
    loop = asyncio.get_running_loop()
    server_tls, client_tls = _anonymous()
    worker = Worker(client_tls, "rehearsal", means)
    url = f"{'wss' if server_tls else 'ws'}://127.0.0.1:{listener.getsockname()[1]}"
    gateway = Gateway(compression, url=url, at_end=worker.drain)
    server = await loop.create_server(gateway.connection, sock=listener.dup(), ssl=server_tls)
    fanin = await loop.create_unix_server(Pull, str(folder / "fanin"))
    ours, theirs = socket.socketpair()
    job = _job(folder, compression, url)
    coordinator, _ = await loop.create_unix_connection(lambda: Coordinator(job, time.monotonic), sock=ours)
    in_a_minute = time.monotonic() + TIDY_INTERVAL_S  # all is due
    running = asyncio.ensure_future(worker.run(theirs))
    try:
        async with asyncio.timeout(life_s):
            while not running.done():
                await asyncio.sleep(STEP_S)
                if worker.housekeeping is not None:
                    worker.housekeeping.step(in_a_minute)
            status = await running
    finally:
        running.cancel()
        worker.finish(WorkerExit.DONE)
        coordinator.close()
        server.close()
        fanin.close()
        await asyncio.sleep(STEP_S)  # lets the connections end
    if status is not WorkerExit.DONE:
        raise RuntimeError(f"a worker ended with {status} in its rehearsal")


def _anonymous() -> tuple[ssl.SSLContext | None, ssl.SSLContext]:
    """Return both sides of TLS without certificates, if OpenSSL still knows that, else no server's."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    try:
        for side in (server, client):
            side.maximum_version = ssl.TLSVersion.TLSv1_2
            side.set_ciphers("AECDH:@SECLEVEL=0")
    except ssl.SSLError:
        return None, client
    return server, client


class _AtOnce(Executor):
    """Runs in the caller's thread what it is given."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


_MEANS: Final = Means(
    syncs=_AtOnce,
    watch=lambda disk: disk.look(),
    jitter=lambda: 0.0,
    leave=lambda _: None,
)


def _job(folder: Path, compression: str, gateway_url: str) -> c.Job:
    return c.Job(
        shard=0,
        shards=1,
        token="none",  # noqa: S106 - nobody asks for it
        gateway_url=gateway_url,
        plain_ok=True,
        intents=0,
        compression=compression,
        large_threshold=50,
        presence=None,
        identify={},
        include=None,
        exclude=[],
        folder=str(folder),
        fanin=f"ipc://{folder}/fanin",
        retention_bytes=1 << 20,
        retention_age_s=60.0,
    )
