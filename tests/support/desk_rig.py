"""A desk with a control loop behind it, and clients' sockets, all in one process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgpack
import zmq
import zmq.asyncio

from gwcluster.operations import Operations
from gwcluster.requests.back_office import Replays
from gwcluster.requests.control_loop import ControlLoop
from gwcluster.requests.desk import Desk
from gwcluster.supervise.commands import Commands
from gwcluster.wire.control import Command, Message
from gwcluster.wire.requests import Replay, accepted

MIB = 1 << 20


class Logs:
    """Instead of logs: answers a replay at once, or when a test says so.

    Attributes:
        asked: every replay that was to be read.
        held: answers that are still to be given, while `hold` is true.
    """

    def __init__(self) -> None:
        self.asked: list[Replay] = []
        self.held: list[Callable[[], None]] = []
        self.hold = False
        self.size = 0

    def serve(self, ask: Replay, answer: Callable[[bytes], None]) -> None:
        self.asked.append(ask)
        body = accepted(ask.id, events=[bytes(self.size)])
        if self.hold:
            self.held.append(lambda: answer(body))
        else:
            answer(body)

    def close(self) -> None:
        """Nothing to end."""


class Rig:
    """A desk, what is behind it, and clients' sockets in a context of their own."""

    def __init__(self, folder: Path, replays: Callable[[], Replays] | None = None) -> None:
        self.address = f"ipc://{folder / 'requests'}"
        self.logs = Logs()
        self.told: list[tuple[int, Command]] = []
        self.looked_at: list[float] = []
        self.operations = Operations(self._status)
        self.control = ControlLoop(asyncio.get_running_loop(), self.operations)
        self.commands = Commands(
            shards=4,
            ids=range(4),
            tell=self._tell,
            has_worker=lambda shard: shard != 3,
            later=asyncio.get_running_loop().call_later,
        )
        self.desk = Desk([self.address], self.control, replays or (lambda: self.logs), clock=time.monotonic)
        self.context = zmq.asyncio.Context(1)
        self.sockets: list[zmq.asyncio.Socket] = []

    def _status(self) -> dict[str, Any]:
        self.looked_at.append(asyncio.get_running_loop().time())
        return {"name": "example"}

    def _tell(self, shard: int, message: Message) -> None:
        assert isinstance(message, Command)
        self.told.append((shard, message))

    def ready(self) -> None:
        """Let the cluster know its shards."""
        self.control.commands, self.control.ids = self.commands, range(4)

    def client(self, kind: int = zmq.DEALER) -> zmq.asyncio.Socket:
        made = self.context.socket(kind)
        made.linger = 0
        made.connect(self.address)
        self.sockets.append(made)
        return made

    def mute(self) -> zmq.asyncio.Socket:
        """Return a client for which there is as little room as can be, as long as it doesn't read."""
        made = self.context.socket(zmq.DEALER)
        made.linger, made.rcvhwm, made.rcvbuf, made.sndhwm = 0, 1, 4096, 0
        made.connect(self.address)
        self.sockets.append(made)
        return made

    async def close(self) -> None:
        for made in self.sockets:
            made.close()
        self.context.term()
        await self.desk.close()


@contextlib.asynccontextmanager
async def opened(folder: Path, replays: Callable[[], Replays] | None = None) -> AsyncIterator[Rig]:
    rig = Rig(folder, replays)
    rig.ready()
    try:
        async with asyncio.timeout(20.0):
            yield rig
    finally:
        await rig.close()


def request(op: str = "status", **fields: Any) -> bytes:
    packed: bytes = msgpack.packb({"v": 1, "id": 7, "op": op, **fields})
    return packed


async def answer(client: zmq.asyncio.Socket) -> dict[str, Any]:
    async with asyncio.timeout(10.0):
        found: dict[str, Any] = msgpack.unpackb(await client.recv())
        return found


async def asked(client: zmq.asyncio.Socket, op: str = "status", **fields: Any) -> dict[str, Any]:
    await client.send(request(op, **fields))
    return await answer(client)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.005)


def code(found: dict[str, Any]) -> str:
    assert found["ok"] is False
    return str(found["error"]["code"])
