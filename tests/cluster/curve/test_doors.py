"""Who gets in at the two sockets, and what those who are in may do; real sockets, no processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
import zmq.asyncio
from zmq.utils.monitor import parse_monitor_message

from gwcluster.binding import BindError
from gwcluster.curve.certificate import Certificate
from gwcluster.fanin import Fanin, _take_again
from gwcluster.operations import Operations
from gwcluster.requests.control_loop import ControlLoop
from gwcluster.requests.desk import Desk
from gwcluster.wire.permissions import Permission
from gwcluster.wire.requests import Replay, accepted
from support.keys import Keys, pair

REFUSED = zmq.Event.HANDSHAKE_FAILED_AUTH
ADMITTED = zmq.Event.HANDSHAKE_SUCCEEDED
MISMATCH = zmq.Event.HANDSHAKE_FAILED_PROTOCOL
HUNG_UP = zmq.Event.DISCONNECTED


class Logs:
    def serve(self, ask: Replay, answer: Callable[[bytes], None]) -> None:
        answer(accepted(ask.id, events=[]))

    def close(self) -> None:
        """Nothing to end."""


class Rig:
    """A fan-in and a desk that ask for keys, and clients in a context of their own."""

    def __init__(self, folder: Path, transport: str) -> None:
        self.keys = Keys(folder / "keys")
        self.locks = self.keys.locks()
        self.clients = self.locks.clients
        self.events, self.requests = (address(folder, transport, name) for name in ("events", "requests"))
        self.endpoint = f"ipc://{folder}/fanin"
        self.control = ControlLoop(asyncio.get_running_loop(), Operations(lambda: {"name": "example"}))
        self.control.ids = range(4)
        self.fanin = Fanin(self.endpoint, [self.events], 1000, locks=self.locks, clock=time.monotonic)
        self.desk = Desk([self.requests], self.control, Logs, clock=time.monotonic, locks=self.locks)
        self.context = zmq.asyncio.Context(1)
        self.sockets: list[zmq.asyncio.Socket] = []
        self.push = self.socket(zmq.PUSH)
        self.push.connect(self.endpoint)

    def socket(self, kind: int) -> zmq.asyncio.Socket:
        made = self.context.socket(kind)
        made.linger = 0
        self.sockets.append(made)
        return made

    def comer(
        self, kind: int, key: Certificate | None, server: bytes | None = None
    ) -> tuple[zmq.asyncio.Socket, zmq.asyncio.Socket]:
        """Return a socket that connects with a key, and one that tells what became of it."""
        made = self.socket(kind)
        if key is not None:
            self.keys.prove(made, key)
        if server is not None:
            made.curve_serverkey = server
        if kind == zmq.SUB:
            made.subscribe(b"")
        monitor = made.get_monitor_socket(REFUSED | ADMITTED | MISMATCH | HUNG_UP)
        self.sockets.append(monitor)
        made.connect(self.events if kind == zmq.SUB else self.requests)
        return made, monitor

    async def publish_until_heard(self, sub: zmq.asyncio.Socket) -> None:
        async with asyncio.timeout(20.0):
            while not await sub.poll(10):
                await self.push.send_multipart([b"READY.0.", b"", b""])
            await sub.recv_multipart()

    async def close(self) -> None:
        for made in self.sockets:
            made.close()
        self.context.term()
        await self.desk.close()
        await self.fanin.close()


def address(folder: Path, transport: str, name: str) -> str:
    if transport == "ipc":
        return f"ipc://{folder}/{name}"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@contextlib.asynccontextmanager
async def opened(folder: Path, transport: str = "ipc") -> AsyncIterator[Rig]:
    rig = Rig(folder, transport)
    try:
        async with asyncio.timeout(60.0):
            yield rig
    finally:
        await rig.close()


async def told(monitor: zmq.asyncio.Socket, *events: zmq.Event) -> zmq.Event:
    """Return the next of these events of a connection."""
    async with asyncio.timeout(20.0):
        while True:
            message = parse_monitor_message(await monitor.recv_multipart())
            if message["event"] in events:
                return zmq.Event(message["event"])


async def asked(client: zmq.asyncio.Socket, op: str, **fields: Any) -> dict[str, Any]:
    await client.send(msgpack.packb({"v": 1, "id": 7, "op": op, **fields}))
    async with asyncio.timeout(20.0):
        found: dict[str, Any] = msgpack.unpackb(await client.recv())
        return found


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_events_come_to_keys_that_may_read_and_to_nobody_else(tmp_path: Path, transport: str) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, transport) as rig:
            reader, sender = rig.keys.client("reader"), rig.keys.client("sender", "send,operate")
            rig.clients.look()
            good, good_monitor = rig.comer(zmq.SUB, reader)
            others = [rig.comer(zmq.SUB, key) for key in (sender, pair())]
            plain, plain_monitor = rig.comer(zmq.SUB, None)
            assert await told(good_monitor, REFUSED, ADMITTED, MISMATCH) == ADMITTED
            for _, monitor in others:
                assert await told(monitor, REFUSED, ADMITTED, MISMATCH) == REFUSED
            assert await told(plain_monitor, REFUSED, ADMITTED, MISMATCH) == MISMATCH
            await rig.publish_until_heard(good)
            for sub in (*(sub for sub, _ in others), plain):
                assert not await sub.poll(50)

    asyncio.run(scenario())


def test_a_wrong_key_of_the_cluster_gets_nobody_in(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            reader = rig.keys.client("reader")
            rig.clients.look()
            for kind in (zmq.SUB, zmq.DEALER):
                _, monitor = rig.comer(kind, reader, server=pair().public_key)
                assert await told(monitor, ADMITTED, HUNG_UP) == HUNG_UP

    asyncio.run(scenario())


def test_each_request_needs_a_key_that_is_good_for_it(tmp_path: Path) -> None:
    needs = {"status": "read", "replay": "read", "send": "send", "restart": "operate", "drain": "operate"}

    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            for may in ("", "read", "send", "operate", "read,send"):
                name = f"may-{may.replace(',', '-')}"
                key = rig.keys.client(name, may)
                rig.clients.look()
                client, _ = rig.comer(zmq.DEALER, key)
                for op, needed in needs.items():
                    found = await asked(client, op, shard=0)
                    code = None if found["ok"] else found["error"]["code"]
                    assert (code == "forbidden") is (needed not in may.split(",")), (may, op, found)
                    if code == "forbidden":
                        said = found["error"]["message"]
                        words = may.replace(",", " and ") or "nothing"
                        assert said == (
                            f"this needs a key that may {needed}; that of client {name} may {words}"
                        )

    asyncio.run(scenario())


def test_nobody_asks_anything_without_a_known_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> bytes:
        async with opened(tmp_path) as rig:
            stranger = pair()
            client, monitor = rig.comer(zmq.DEALER, stranger)
            await client.send(msgpack.packb({"v": 1, "op": "status"}))
            assert await told(monitor, REFUSED, ADMITTED, MISMATCH) == REFUSED
            plain, monitor = rig.comer(zmq.DEALER, None)
            await plain.send(msgpack.packb({"v": 1, "op": "status"}))
            assert await told(monitor, REFUSED, ADMITTED, MISMATCH) == MISMATCH
            for _ in range(20):
                _, monitor = rig.comer(zmq.DEALER, stranger)
                assert await told(monitor, REFUSED, ADMITTED, MISMATCH) == REFUSED
            assert not await client.poll(50)
            assert not await plain.poll(50)
            return stranger.public_key

    caplog.set_level(logging.WARNING)
    stranger = asyncio.run(scenario())
    assert caplog.messages == [
        f"refused at requests: the key {stranger.decode()}, which no client has; 1 by now"
    ], "said once, however often it tries"


def test_a_key_that_is_taken_away_is_good_for_nothing_at_once_also_on_open_connections(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            stays, goes = rig.keys.client("stays"), rig.keys.client("goes", "read,send")
            rig.clients.look()
            client, _ = rig.comer(zmq.DEALER, goes)
            assert (await asked(client, "status"))["ok"] is True
            (good, _), (bad, monitor) = rig.comer(zmq.SUB, stays), rig.comer(zmq.SUB, goes)
            await rig.publish_until_heard(good)
            await rig.publish_until_heard(bad)
            (rig.keys.clients_dir / "goes.key").unlink()
            assert rig.clients.look() is True
            found = await asked(client, "status")
            assert found["error"]["code"] == "forbidden"
            assert found["error"]["message"].endswith("that of client (removed) may nothing")
            rig.fanin.hang_up()
            assert await told(monitor, REFUSED) == REFUSED
            while await bad.poll(0):
                await bad.recv_multipart()
            await rig.publish_until_heard(good)
            assert not await bad.poll(50)

    asyncio.run(scenario())


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_connections_end_as_often_as_is_asked_and_what_workers_say_meanwhile_is_not_lost(
    tmp_path: Path, transport: str
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path, transport) as rig:
            key = rig.keys.client("reader")
            rig.clients.look()
            sub, monitor = rig.comer(zmq.SUB, key)
            own: list[tuple[int, str]] = []
            listening = asyncio.ensure_future(rig.fanin.listen(lambda *state: own.append(state)))
            await rig.publish_until_heard(sub)
            for _ in range(5):
                rig.fanin.hang_up()
                await told(monitor, HUNG_UP)
                await told(monitor, ADMITTED)
                await rig.publish_until_heard(sub)
            state = b'{"t":"GWCLUSTER_SHARD_STATE","s":null,"op":0,"d":{"shard":0,"state":"live"}}'
            for _ in range(500):
                await rig.push.send_multipart([b"GWCLUSTER_SHARD_STATE.0.", b"", state])
                if len(own) % 100 == 50:
                    rig.fanin.hang_up()
            async with asyncio.timeout(20.0):
                while len(own) < 500:  # noqa: ASYNC110 - what is waited for comes through a thread
                    await asyncio.sleep(0.01)
            listening.cancel()

    asyncio.run(scenario())


def test_an_address_that_somebody_takes_in_that_moment_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stolen:
        address = "tcp://127.0.0.1:1"

        def take(self) -> None:
            raise BindError("can't bind tcp://127.0.0.1:1: Address already in use")

    moments = iter([0.0, 1.0, 4.9, 5.1])
    _take_again([Stolen()], lambda: next(moments))  # type: ignore[list-item]
    (said,) = caplog.messages
    assert said.startswith("can't bind tcp://127.0.0.1:1: Address already in use; nobody hears events there")


def test_without_keys_everybody_may_do_everything(tmp_path: Path) -> None:
    async def scenario() -> None:
        control = ControlLoop(asyncio.get_running_loop(), Operations(lambda: {"name": "example"}))
        desk = Desk([f"ipc://{tmp_path}/requests"], control, Logs, clock=time.monotonic)
        context = zmq.asyncio.Context(1)
        client = context.socket(zmq.DEALER)
        client.connect(f"ipc://{tmp_path}/requests")
        assert (await asked(client, "status"))["ok"] is True
        client.close(0)
        context.term()
        await desk.close()

    asyncio.run(scenario())
    assert set(Permission) == {"read", "send", "operate"}
