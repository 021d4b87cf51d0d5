"""Hosts without workers that share some logs: each publishes what a test tells it to, and answers (does)."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
from gwcluster.wire.requests import Replay

AT = 10_000.0


class SmallHost:
    """One of them.

    Attributes:
        tells_of: the hosts that its status has; None: those that are alive.
        sent: what was to be sent to Discord: shard, opcode.
        answers: commands; else it takes them and is silent.
        asked: statuses that it was asked for.
        reads: replays; else it takes them and is silent.
        unread: replays that it has taken so.
    """

    def __init__(self, hosts: SmallHosts, name: str) -> None:
        self.name = name
        self.events = f"ipc://{hosts.folder / name}-events"
        self.requests = f"ipc://{hosts.folder / name}-requests"
        self.tells_of: list[str] | None = None
        self.sent: list[tuple[int, int]] = []
        self.answers = True
        self.asked = 0
        self.reads = True
        self.unread = 0
        self._hosts = hosts
        self.pub = hosts.context.socket(zmq.PUB)
        self.pub.sndhwm = 0
        self.pub.bind(self.events)
        self.deaf: zmq.Socket[bytes] | None = None
        self._desk: Desk | None = hosts.in_loop(self._made)

    def _made(self) -> Desk:
        loop = asyncio.get_running_loop()
        control = ControlLoop(loop, Operations(self._status))
        control.ids = range(self._hosts.shards)
        self._commands = Commands(
            shards=self._hosts.shards,
            ids=range(self._hosts.shards),
            tell=self._told,
            has_worker=lambda _: True,
            later=loop.call_later,
        )
        control.commands = self._commands
        return Desk([self.requests], control, lambda: _Replays(self, self._hosts.log), clock=time.monotonic)

    def _status(self) -> dict[str, Any]:
        self.asked += 1
        return self._hosts.document(self.tells_of)

    def _told(self, shard: int, message: Message) -> None:
        assert isinstance(message, Command)
        self.sent.append((shard, message.op))
        if self.answers:
            self._commands.heard(CommandDone(message.id, None, "", None, None))

    def hang(self) -> None:
        """Go on publishing; take requests and answer none."""
        self._close_desk()
        self.deaf = self._hosts.context.socket(zmq.ROUTER)
        self.deaf.bind(self.requests)

    def close(self) -> None:
        """Close every socket, as a host does that dies."""
        self._close_desk()
        self.pub.close(linger=0)
        if self.deaf is not None:
            self.deaf.close(linger=0)
        for address in (self.events, self.requests):
            Path(address.removeprefix("ipc://")).unlink(missing_ok=True)

    def _close_desk(self) -> None:
        if (desk := self._desk) is not None:
            self._desk = None
            asyncio.run_coroutine_threadsafe(desk.close(), self._hosts.loop).result(10)


class _Replays(Replays):
    def __init__(self, host: SmallHost, folder: Callable[[int], Path]) -> None:
        self._host = host
        super().__init__(lambda shard: Reader(folder(shard)))

    def serve(self, ask: Replay, answer: Callable[[bytes], None]) -> None:
        if self._host.reads:
            super().serve(ask, answer)
        else:
            self._host.unread += 1


class SmallHosts:
    """Some shards' logs, and the hosts that run them by turns. Its methods are for one thread.

    Args:
        folder: for sockets and logs.
        names: of the hosts at the beginning; the first one runs all shards.
        shards: shard count.

    Attributes:
        hosts: those that are alive, by name.
        owners: name of the host that runs each shard.
    """

    def __init__(self, folder: Path, names: Sequence[str] = ("a", "b"), shards: int = 2) -> None:
        self.folder = folder
        self.shards = shards
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._seqs = itertools.count(1)
        self.writers = [self._opened(shard) for shard in range(shards)]
        self.hosts: dict[str, SmallHost] = {}
        for name in names:
            self.add(name)
        self.owners = dict.fromkeys(range(shards), names[0])

    def __enter__(self) -> SmallHosts:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self.hosts):
            self.kill(name)
        for writer in self.writers:
            writer.close()
        self.context.term()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def in_loop(self, make: Any) -> Any:
        """Call something on the loop that answers requests."""

        async def made() -> Any:
            return make()

        return asyncio.run_coroutine_threadsafe(made(), self.loop).result(10)

    def add(self, name: str) -> SmallHost:
        """Start a host."""
        host = self.hosts[name] = SmallHost(self, name)
        return host

    def kill(self, name: str) -> None:
        """End a host."""
        self.hosts.pop(name).close()

    def connect(self, *names: str) -> Connection:
        """Connect with these hosts; none: with all there are."""
        hosts = [self.hosts[name] for name in names or self.hosts]
        return connect(events=[host.events for host in hosts], requests=[host.requests for host in hosts])

    def publish(self, *names: str, shard: int = 0, lost: bool = False, via: Sequence[str] = ()) -> list[int]:
        """Append one event of each name and have the owner publish it; return their offsets.

        Args:
            lost: they are in the log alone.
            via: hosts that publish them instead of the owner.
        """
        offsets = []
        writer = self.writers[shard]
        for name in names:
            seq = next(self._seqs)
            payload = json.dumps({"t": name, "s": seq, "op": 0, "d": None}).encode()
            frames = writer.append(name, payload, session=1, seq=seq, at=AT)
            writer.flush()
            offsets.append(writer.next_offset - 1)
            for host in [] if lost else via or (self.owners[shard],):
                self.hosts[host].pub.send_multipart(frames)
        return offsets

    def beacon(self, shard: int = 0) -> None:
        """Have a shard's owner publish what its worker tells every two seconds."""
        writer = self.writers[shard]
        header = Header(shard, self.shards, writer.epoch, max(writer.next_offset - 1, 0), None, 1, None, AT)
        self.hosts[self.owners[shard]].pub.send_multipart(
            [topic(BEACON, shard), encode_header(header), beacon(dict(writer.last_offsets), writer.floor)]
        )

    def document(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Return a status that tells of these hosts."""
        return {
            "name": "small",
            "shards": self.shards,
            "ids": list(range(self.shards)),
            "hosts": {"hosts": list(self.entries(names))},
        }

    def entries(self, names: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over what these hosts say of themselves; None: those that are alive."""
        for name in list(self.hosts) if names is None else names:
            host = self.hosts[name]
            shards = [shard for shard, owner in self.owners.items() if owner == name]
            yield {
                "name": name,
                "addresses": {"events": [host.events], "requests": [host.requests], "http": None},
                "shards": shards,
                "draining": False,
            }

    def log(self, shard: int) -> Path:
        """Return the folder of a shard's log, which all hosts read."""
        return self.folder / "logs" / str(shard)

    def _opened(self, shard: int) -> Writer:
        return Writer.open(
            self.log(shard),
            shard=shard,
            shards=self.shards,
            retention_bytes=1 << 20,
            retention_age_s=3600.0,
            new_epoch=lambda: f"{shard + 1:016x}",
            wall=lambda: AT,
            boot=lambda: "boot-1",
        )
