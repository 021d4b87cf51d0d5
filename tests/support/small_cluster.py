"""A cluster without workers: real logs, a real desk of requests, and a PUB whose messages a test may lose."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

from gwcluster.client import Connection, connect
from gwcluster.log import Reader, Writer
from gwcluster.operations import Operations
from gwcluster.requests.control_loop import ControlLoop
from gwcluster.requests.desk import Desk
from gwcluster.requests.replay import Replays
from gwcluster.supervise.commands import Commands
from gwcluster.wire.control import Command, CommandDone, Message
from gwcluster.wire.events import Header, encode_header, topic
from gwcluster.wire.notices import BEACON, beacon

AT = 10_000.0


class SmallCluster:
    """Some shards' logs, and what publishes and replays them. Its methods are for one thread.

    Args:
        folder: for its sockets and logs.
        shards: shard count.
        high_water_mark: messages that the PUB queues for each subscriber.
        retention: bytes that each log keeps.

    Attributes:
        settle: says what became of a command; None: nothing is answered.
        sent: what was to be sent: shard, opcode and data.
        document: the status.
        documents: what it is at each next look.
        operations: what may be done to it; nothing, until somebody sets its hands.
        pub: what the events go out of.
    """

    def __init__(
        self, folder: Path, shards: int = 2, high_water_mark: int = 0, retention: int = 1 << 20
    ) -> None:
        self.events, self.requests = f"ipc://{folder / 'events'}", f"ipc://{folder / 'requests'}"
        self.settle: Callable[[Command], CommandDone | None] = lambda command: CommandDone(
            command.id, None, "", None, None
        )
        self.document: dict[str, Any] = {"name": "small", "ids": list(range(shards))}
        self.documents: Iterator[dict[str, Any]] = iter(())
        self.operations = Operations(self._look)
        self.sent: list[tuple[int, int, Any]] = []
        self._folder = folder
        self._shards = shards
        self._mark = high_water_mark
        self._retention = retention
        self._epochs = itertools.count(1)
        self._seqs = itertools.count(1)
        self.writers = [self._opened(shard) for shard in range(shards)]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
        self._open()

    def _look(self) -> dict[str, Any]:
        self.document = next(self.documents, self.document)
        return self.document

    def __enter__(self) -> SmallCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.vanish()
        for writer in self.writers:
            writer.close()
        self._context.term()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def connect(self) -> Connection:
        return connect(events=self.events, requests=self.requests)

    def publish(self, *names: str, shard: int = 0, lost: bool = False, data: object = None) -> list[int]:
        """Append and publish one event of each name; return their offsets. Lost ones are in the log alone."""
        offsets = []
        writer = self.writers[shard]
        for name in names:
            seq = next(self._seqs)
            payload = json.dumps({"t": name, "s": seq, "op": 0, "d": data}).encode()
            frames = writer.append(name, payload, session=1, seq=seq, at=AT)
            writer.flush()
            offsets.append(writer.next_offset - 1)
            if not lost:
                self.pub.send_multipart(frames)
        return offsets

    def beacon(self, shard: int = 0) -> None:
        """Publish what a worker publishes every two seconds."""
        writer = self.writers[shard]
        header = Header(shard, self._shards, writer.epoch, max(writer.next_offset - 1, 0), None, 1, None, AT)
        self.pub.send_multipart(
            [topic(BEACON, shard), encode_header(header), beacon(dict(writer.last_offsets), writer.floor)]
        )

    def begin_anew(self, shard: int = 0) -> None:
        """Remove a shard's log and start another one."""
        self.writers[shard].close()
        for file in self._log(shard).iterdir():
            file.unlink()
        self.writers[shard] = self._opened(shard)

    def vanish(self) -> None:
        """Close every socket, as a coordinator does that dies."""
        asyncio.run_coroutine_threadsafe(self._desk.close(), self._loop).result(10)
        self.pub.close(linger=0)
        for name in ("events", "requests"):
            (self._folder / name).unlink(missing_ok=True)

    def come_back(self) -> None:
        """Be there again, after `vanish`."""
        self._open()

    def _open(self) -> None:
        self.pub = self._context.socket(zmq.PUB)
        self.pub.sndhwm = self._mark
        self.pub.bind(self.events)

        async def made() -> Desk:
            loop = asyncio.get_running_loop()
            control = ControlLoop(loop, self.operations)
            control.ids = range(self._shards)
            control.commands = self._commands = Commands(
                shards=self._shards,
                ids=range(self._shards),
                tell=self._told,
                has_worker=lambda _: True,
                later=loop.call_later,
            )
            return Desk(
                [self.requests],
                control,
                lambda: Replays(lambda shard: Reader(self._log(shard))),
                clock=time.monotonic,
            )

        self._desk = asyncio.run_coroutine_threadsafe(made(), self._loop).result(10)

    def _told(self, shard: int, message: Message) -> None:
        assert isinstance(message, Command)
        self.sent.append((shard, message.op, message.d))
        if (done := self.settle(message)) is not None:
            self._commands.heard(done)

    def _opened(self, shard: int) -> Writer:
        return Writer.open(
            self._log(shard),
            shard=shard,
            shards=self._shards,
            retention_bytes=self._retention,
            retention_age_s=3600.0,
            new_epoch=lambda: f"{next(self._epochs):016x}",
            wall=lambda: AT,
            boot=lambda: "boot-1",
        )

    def _log(self, shard: int) -> Path:
        return self._folder / "logs" / str(shard)
