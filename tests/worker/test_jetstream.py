"""A whole worker whose log is in JetStream, in this process."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest
import uvloop

from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.opening import Taking
from gwcluster.log.jetstream.reader import Reader
from gwcluster.log.lock import take_folder
from gwcluster.log.page import NoLog, Page
from gwcluster.nats_login import NatsLogin
from gwcluster.wire.control import Job, Pulse, Unframer
from gwcluster.wire.exits import WorkerExit
from gwworker.stage import Coordinator, Gateway, Pull
from gwworker.worker import Means, Worker
from support.jobs import job
from support.kept_logs import InJetStream, in_jetstream
from support.nats_servers import NatsServers, nats_servers

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:
        yield servers


class AtOnce(Executor):
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Listening(Coordinator):
    """One that notes pulses."""

    def __init__(self, job: Job, clock: Callable[[], float], pulses: asyncio.Queue[Pulse]) -> None:
        super().__init__(job, clock)
        self._pulses = pulses
        self._told = Unframer()

    def data_received(self, data: bytes) -> None:
        for message in self._told.feed(data):
            if isinstance(message, Pulse):
                self._pulses.put_nowait(message)
        super().data_received(data)


class Life:
    """One worker, from its job to its end."""

    def __init__(self, folder: Path, nats: dict[str, Any]) -> None:
        self.pulses: asyncio.Queue[Pulse] = asyncio.Queue()
        self.left: list[WorkerExit] = []
        means = Means(syncs=AtOnce, watch=lambda disk: None, jitter=lambda: 0.0, leave=self.left.append)
        self.worker = Worker(NO_TLS, "test", means)
        self._folder = folder
        self._nats = nats

    async def run(self, *, drains: bool = True) -> WorkerExit:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
        at_end = self.worker.drain if drains else lambda: None
        server = await loop.create_server(Gateway("none", url=url, at_end=at_end).connection, sock=listener)
        path = self._folder / f"fanin{id(self)}"
        fanin = await loop.create_unix_server(Pull, str(path))
        ours, theirs = socket.socketpair()
        self.job = job(folder=str(self._folder), fanin=f"ipc://{path}", gateway_url=url, nats=self._nats)
        coordinator, _ = await loop.create_unix_connection(
            lambda: Listening(self.job, time.monotonic, self.pulses), sock=ours
        )
        try:
            async with asyncio.timeout(30.0):
                return await self.worker.run(theirs)
        finally:
            coordinator.close()
            server.close()
            fanin.close()


def about(kept: InJetStream, token: int = 1) -> dict[str, Any]:
    return {"name": kept.name, "host": "h", "token": token, "login": {"servers": kept.urls}}


async def names_in(kept: InJetStream) -> list[str]:
    page = await kept.read(None)
    assert page.holes == []
    assert not page.more
    return [record.name for record in page.records]


def test_a_worker_keeps_its_log_and_session_in_jetstream_and_its_successor_resumes(
    nats: NatsServers, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with in_jetstream(nats.urls) as kept:
            assert await Life(tmp_path, about(kept)).run() == WorkerExit.DONE
            first = await names_in(kept)
            assert first.count("READY") == 1
            assert first.count("MESSAGE_CREATE") == 12
            assert await Life(tmp_path, about(kept, 2)).run() == WorkerExit.DONE
            both = await names_in(kept)
            assert both[: len(first)] == first
            second = both[len(first) :]
            assert "READY" not in second
            assert second.count("RESUMED") == 1
            assert second.count("MESSAGE_CREATE") == 12

    uvloop.run(scene())
    assert not list(tmp_path.glob("*.log"))
    assert not (tmp_path / "session.json").exists()


def test_a_worker_whose_log_is_taken_over_leaves_with_a_status_of_its_own(
    nats: NatsServers, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with in_jetstream(nats.urls) as kept:
            life = Life(tmp_path, about(kept))
            running = asyncio.create_task(life.run(drains=False))
            link = await Link.connect(NatsLogin(tuple(kept.urls)), name="look")
            reader = Reader(link, kept.name, 3)
            while "MESSAGE_CREATE" not in await _names(reader):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
            await kept.take()
            while not life.left:
                await asyncio.sleep(0.02)
                assert life.worker.housekeeping is not None
                life.worker.housekeeping.step(time.monotonic() + 60.0)
                life.worker.housekeeping._drive._performer.beacon()  # type: ignore[attr-defined]
                life.worker.housekeeping._drive._outlet.notice("A", b"{}", 1)  # type: ignore[attr-defined]
                life.worker.housekeeping._drive._outlet.flush()  # type: ignore[attr-defined]
            assert life.left == [WorkerExit.FENCED]
            life.worker.finish(WorkerExit.DONE)
            await running
            await link.close()

    uvloop.run(scene())


def test_nobody_dials_while_a_worker_on_this_machine_may_still_be_connected(
    nats: NatsServers, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with in_jetstream(nats.urls) as kept:
            held = take_folder(tmp_path)  # as one that dies a moment after its coordinator does
            running = asyncio.create_task(Life(tmp_path, about(kept)).run())
            await asyncio.sleep(0.5)
            with pytest.raises(NoLog):
                await kept.read(None)
            os.close(held)
            assert await running == WorkerExit.DONE
            assert "READY" in await names_in(kept)

    uvloop.run(scene())


def test_a_worker_whose_log_is_not_open_yet_says_that_it_lives(tmp_path: Path) -> None:
    async def scene() -> None:
        listener = socket.create_server(("127.0.0.1", 0))  # takes connections, and is silent
        url = f"nats://127.0.0.1:{listener.getsockname()[1]}"
        life = Life(tmp_path, {"name": "n", "host": "h", "token": 1, "login": {"servers": [url]}})
        running = asyncio.create_task(life.run())
        pulse = await asyncio.wait_for(life.pulses.get(), 20.0)
        assert pulse.degraded is not None
        assert "log" in pulse.degraded
        running.cancel()
        await asyncio.wait([running])
        listener.close()

    uvloop.run(scene())


async def _names(reader: Reader) -> list[str]:
    try:
        page: Page = await reader.read(None, names=None, limit=1000, max_bytes=1 << 20)
    except Exception:  # noqa: BLE001 - it isn't there yet
        return []
    return [record.name for record in page.records]


def test_a_job_says_what_taking_needs() -> None:
    place = Taking({"name": "n", "host": "h", "token": 9, "login": {}}, 3, 16, 1, 1.0).place("w" * 16)
    assert (place.stream, place.subject("READY")) == ("gwcluster-n-log-3", "gwcluster.n.log.3.READY")
