from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from gwcluster.binding import BindError
from gwcluster.fanin import Fanin
from gwcluster.wire.notices import ShardState, shard_state

TOPIC = b"GWCLUSTER_SHARD_STATE.3."


class Ends:
    """Workers' and subscribers' sockets, in a context of their own; a SUB is returned once it hears."""

    def __init__(self, folder: Path) -> None:
        self.context = zmq.asyncio.Context(1)
        self.endpoint = f"ipc://{folder / 'fanin'}"
        self.bind = f"ipc://{folder / 'events'}"
        self.sockets: list[zmq.asyncio.Socket] = []

    def socket(self, kind: int) -> zmq.asyncio.Socket:
        made = self.context.socket(kind)
        made.linger = 0
        self.sockets.append(made)
        return made

    def close(self) -> None:
        for made in self.sockets:
            made.close()
        self.context.term()

    def worker(self) -> zmq.asyncio.Socket:
        push = self.socket(zmq.PUSH)
        push.connect(self.endpoint)
        return push

    async def subscriber(self, push: zmq.asyncio.Socket) -> zmq.asyncio.Socket:
        sub = self.socket(zmq.SUB)
        sub.rcvhwm = 10_000
        sub.subscribe(b"")
        sub.connect(self.bind)
        while not await sub.poll(5):
            await push.send_multipart([b"HELLO.0.", b"", b""])
        return sub


@contextlib.asynccontextmanager
async def running(folder: Path, high_water_mark: int = 10_000) -> AsyncIterator[tuple[Fanin, Ends]]:
    ends = Ends(folder)
    fanin = Fanin(ends.endpoint, [ends.bind], high_water_mark, clock=time.monotonic)
    try:
        yield fanin, ends
    finally:
        ends.close()
        await fanin.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():  # noqa: ASYNC110 - what is waited for comes through a thread of ZeroMQ's
            await asyncio.sleep(0.005)


async def events(sub: zmq.asyncio.Socket, count: int) -> list[list[bytes]]:
    """Return the next `count` messages after those that only made the subscription known."""
    received: list[list[bytes]] = []
    async with asyncio.timeout(5.0):
        while len(received) < count:
            frames = await sub.recv_multipart()
            if frames[0] != b"HELLO.0.":
                received.append(frames)
    return received


def test_three_frames_come_out_unchanged_and_in_order(tmp_path: Path) -> None:
    sent = [[b"READY.3.", bytes([i % 256, 0, 255]), b"\x00" * (i % 7) + b"%d" % i] for i in range(2000)]

    async def scenario() -> list[list[bytes]]:
        async with running(tmp_path) as (_, ends):
            push = ends.worker()
            sub = await ends.subscriber(push)
            for frames in sent:
                await push.send_multipart(frames)
            return await events(sub, len(sent))

    assert asyncio.run(scenario()) == sent


def test_a_notice_of_the_coordinators_own_comes_out_like_any_event(tmp_path: Path) -> None:
    async def scenario() -> list[list[bytes]]:
        async with running(tmp_path) as (fanin, ends):
            sub = await ends.subscriber(ends.worker())
            fanin.publish(b"GWCLUSTER_CLUSTER_STATE.0.", b"header", b"payload")
            return await events(sub, 1)

    assert asyncio.run(scenario()) == [[b"GWCLUSTER_CLUSTER_STATE.0.", b"header", b"payload"]]


def test_every_address_is_published_at(tmp_path: Path) -> None:
    async def scenario() -> None:
        ends = Ends(tmp_path)
        second = f"ipc://{tmp_path / 'second'}"
        fanin = Fanin(ends.endpoint, [ends.bind, second], 1000, clock=time.monotonic)
        push = ends.worker()
        await ends.subscriber(push)
        ends.bind = second
        await ends.subscriber(push)
        ends.close()
        await fanin.close()

    asyncio.run(asyncio.wait_for(scenario(), 5.0))


def test_shard_states_are_told_once_they_are_published_whatever_else_goes_by(tmp_path: Path) -> None:
    garbage = [
        [TOPIC],
        [TOPIC, b""],
        [TOPIC, b"", b""],
        [TOPIC, b"", b"\xff"],
        [TOPIC, b"", b"null"],
        [TOPIC, b"", b"[]"],
        [TOPIC, b"", b'{"d":null}'],
        [TOPIC, b"", b'{"d":{"shard":3}}'],
        [TOPIC, b"", b"[" * 100_000],
        [b"GWCLUSTER_SHARD_STATE.x.", b"", shard_state(3, ShardState.LIVE, "")],
        [b"READY.3.", b"", shard_state(3, ShardState.LIVE, "")],
    ]

    async def scenario() -> list[tuple[int, str]]:
        seen: list[tuple[int, str]] = []
        async with running(tmp_path) as (fanin, ends):
            listening = asyncio.ensure_future(fanin.listen(lambda *state: seen.append(state)))
            push = ends.worker()
            for frames in garbage:
                await push.send_multipart(frames)
            await push.send_multipart([TOPIC, b"", shard_state(3, ShardState.LIVE, "")])
            await until(lambda: bool(seen) or listening.done())
            fanin.publish(b"GWCLUSTER_SHARD_STATE.12.", b"", shard_state(12, ShardState.FAILED, ""))
            await until(lambda: len(seen) == 2 or listening.done())
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
        return seen

    assert asyncio.run(scenario()) == [(3, "live"), (12, "failed")]


def test_a_fault_of_whoever_is_told_is_not_taken_for_garbage(tmp_path: Path) -> None:
    def faulty(shard: int, state: str) -> None:
        raise LookupError(shard)

    async def scenario() -> None:
        async with running(tmp_path) as (fanin, _):
            fanin.publish(TOPIC, b"", shard_state(3, ShardState.LIVE, ""))
            async with asyncio.timeout(2.0):
                await fanin.listen(faulty)

    with pytest.raises(LookupError):
        asyncio.run(scenario())


def test_a_taken_port_is_an_error_that_names_it_and_comes_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(BindError, match=f"can't bind {address}: .* is another cluster running"):
            Fanin(f"ipc://{tmp_path / 'fanin'}", [address], 1000, clock=time.monotonic)
        assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("waiting", [0, 1, 2])
@pytest.mark.parametrize("taken", ["fanin", "events"])
def test_a_path_at_which_somebody_listens_is_not_taken_from_them(
    tmp_path: Path, taken: str, waiting: int
) -> None:
    path = tmp_path / taken
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(socket.socket(socket.AF_UNIX))
        other.bind(str(path))
        other.listen(0)  # full after one connection that isn't accepted: others would wait
        for _ in range(waiting):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(str(path))
        inode, started = path.stat().st_ino, time.monotonic()
        with pytest.raises(BindError, match=f"can't bind ipc://{path}: another process listens there"):
            Fanin(f"ipc://{tmp_path / 'fanin'}", [f"ipc://{tmp_path / 'events'}"], 1000, clock=time.monotonic)
        assert time.monotonic() - started < 1.0
        assert path.stat().st_ino == inode


def test_an_address_that_can_not_be_is_no_other_clusters_fault(tmp_path: Path) -> None:
    missing = f"ipc://{tmp_path / 'missing' / 'events'}"
    with pytest.raises(BindError) as caught:
        Fanin(f"ipc://{tmp_path / 'fanin'}", [missing], 1000, clock=time.monotonic)
    assert str(caught.value).startswith(f"can't bind {missing}: No such file or directory")
    assert "another cluster" not in str(caught.value)


def test_sockets_that_a_killed_cluster_left_are_taken_over(tmp_path: Path) -> None:
    for name in ("fanin", "events"):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / name))

    async def scenario() -> None:
        async with running(tmp_path) as (_, ends):
            await ends.subscriber(ends.worker())

    asyncio.run(asyncio.wait_for(scenario(), 5.0))


def test_a_start_that_failed_leaves_the_paths_free(tmp_path: Path) -> None:
    endpoint, bind = f"ipc://{tmp_path / 'fanin'}", f"ipc://{tmp_path / 'events'}"
    with pytest.raises(BindError):
        Fanin(endpoint, [bind, f"ipc://{tmp_path / 'missing' / 'events'}"], 1000, clock=time.monotonic)
    fanin = Fanin(endpoint, [bind], 1000, clock=time.monotonic)
    asyncio.run(fanin.close())
    assert list(tmp_path.iterdir()) == []


def test_close_removes_its_files_and_waits_a_second_at_most_for_one_that_never_reads(tmp_path: Path) -> None:
    async def scenario() -> float:
        ends = Ends(tmp_path)
        fanin = Fanin(ends.endpoint, [ends.bind], 10_000, clock=time.monotonic)
        push = ends.worker()
        sub = ends.socket(zmq.SUB)
        sub.rcvhwm, sub.rcvbuf = 1, 4096
        sub.subscribe(b"BIG.")
        sub.connect(ends.bind)
        witness = await ends.subscriber(push)
        while not await sub.poll(5):
            await push.send_multipart([b"BIG.3.", b"", bytes(100_000)])
        for _ in range(200):
            await push.send_multipart([b"BIG.3.", b"", bytes(100_000)])
        await push.send_multipart([b"LAST.3.", b"", b""])
        while (await events(witness, 1))[0][0] != b"LAST.3.":
            pass
        started = time.monotonic()
        await fanin.close()
        took_s = time.monotonic() - started
        ends.close()
        return took_s

    assert 0.5 < asyncio.run(scenario()) < 1.5  # it did have something to wait for
    assert list(tmp_path.iterdir()) == []


def test_sockets_are_their_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        fanin = Fanin(
            f"ipc://{tmp_path / 'fanin'}", [f"ipc://{tmp_path / 'events'}"], 1000, clock=time.monotonic
        )
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    asyncio.run(fanin.close())
    assert modes == {"fanin": 0o600, "events": 0o600}


def test_close_is_quick_when_nobody_is_behind(tmp_path: Path) -> None:
    fanin = Fanin(f"ipc://{tmp_path / 'fanin'}", [f"ipc://{tmp_path / 'events'}"], 1000, clock=time.monotonic)
    started = time.monotonic()
    asyncio.run(fanin.close())
    assert time.monotonic() - started < 0.5
    assert list(tmp_path.iterdir()) == []
