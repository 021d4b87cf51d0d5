from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
import zmq

from gwcluster.wire.control import AskPermit, Message, Permit, PermitUsed, Pulse, Refused, Unframer, encode
from gwworker import bus_link
from gwworker.bus_link import Control, Fanin
from support.room import Room

Frames = tuple[bytes, bytes, bytes]
WRONG_FIELD = encode(Permit(1.0)).replace(b"until", b"since")
PULSE = Pulse(1, 0, 0, 0, 0, None, None, None, 0, 0, 1, 0, None)


@dataclass
class Coordinator:
    """A real PULL socket that a `Fanin` may connect to, once it listens."""

    path: Path
    context: zmq.Context[zmq.Socket[bytes]] = field(default_factory=zmq.Context)

    def listen(self, high_water_mark: int = 1) -> None:
        self.pull = self.context.socket(zmq.PULL)
        self.pull.rcvhwm = high_water_mark
        self.pull.bind(f"ipc://{self.path}")

    def hang_up(self) -> None:
        self.pull.close(0)
        self.path.unlink(missing_ok=True)

    async def headers(self, count: int) -> list[bytes]:
        """Return the headers of the next events."""
        return [event[1] for event in await self.events(count)]

    async def events(self, count: int) -> list[Frames]:
        got: list[Frames] = []
        async with asyncio.timeout(5.0):
            while len(got) < count:
                try:
                    topic, header, payload = self.pull.recv_multipart(zmq.DONTWAIT)
                    got.append((topic, header, payload))
                except zmq.Again:
                    await asyncio.sleep(0.001)
        return got


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[Coordinator]:
    coordinator = Coordinator(tmp_path / "fanin")
    yield coordinator
    coordinator.context.destroy(linger=0)


def event(n: int, size: int = 10) -> Frames:
    return b"A.3.", b"header %d" % n, b"x" * size


def headers(numbers: Iterable[int]) -> list[bytes]:
    return [b"header %d" % n for n in numbers]


def run(main: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(main, 10.0))


async def connected(coordinator: Coordinator, *, high_water_mark: int = 1, **bounds: int) -> Fanin:
    coordinator.listen(high_water_mark)
    fanin = Fanin(str(coordinator.path), **bounds)
    async with asyncio.timeout(5.0):
        while not fanin._ready:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return fanin


# Fan-in


def test_an_event_arrives_as_its_three_frames(coordinator: Coordinator) -> None:
    async def main() -> None:
        fanin = await connected(coordinator)
        fanin.push([event(1), event(2, 300)])
        assert await coordinator.events(2) == [event(1), event(2, 300)]
        await fanin.close()

    run(main())


def test_events_from_before_the_coordinator_listens_arrive_first(coordinator: Coordinator) -> None:
    async def main() -> None:
        fanin = Fanin(str(coordinator.path))
        fanin.push([event(1)])
        fanin.push([event(2)])
        await asyncio.sleep(0.01)
        coordinator.listen()
        assert await coordinator.headers(2) == headers([1, 2])
        fanin.push([event(3)])
        assert await coordinator.headers(1) == headers([3])
        await fanin.close()

    run(main())


def test_a_coordinator_that_does_not_read_is_never_waited_for_and_gets_all_in_order_later(
    coordinator: Coordinator,
) -> None:
    async def main() -> None:
        fanin = await connected(coordinator)
        for n in range(3000):
            fanin.push([event(n, 1000)])
        assert fanin.unpushed == 0
        assert await coordinator.headers(3000) == headers(range(3000))
        await fanin.close()

    run(main())


def test_what_waits_is_bounded_in_bytes_and_what_finds_no_room_is_counted(coordinator: Coordinator) -> None:
    async def main() -> None:
        fanin = await connected(coordinator, backlog_bytes=10_000)
        n = 0
        while not fanin.unpushed:
            fanin.push([event(n, 1000)])
            await asyncio.sleep(0)
            n += 1
        assert fanin._transport is not None
        assert fanin._transport.get_write_buffer_size() <= 10_000
        fanin.push([event(n, 1000), event(n + 1, 1000)])
        assert fanin.unpushed == 3
        assert await coordinator.headers(n - 1) == headers(range(n - 1))
        fanin.push([event(99_999, 100)])
        assert await coordinator.headers(1) == headers([99_999]), "there is room again"
        assert fanin.unpushed == 3
        await fanin.close()

    run(main())


def test_what_waits_for_a_coordinator_that_is_not_there_yet_is_bounded_too(coordinator: Coordinator) -> None:
    async def main() -> None:
        fanin = Fanin(str(coordinator.path), backlog_bytes=5_000)
        for n in range(10):
            fanin.push([event(n, 1000)])
        assert fanin.unpushed == 6
        coordinator.listen()
        assert await coordinator.headers(4) == headers(range(4))
        await fanin.close()

    run(main())


def test_one_event_may_be_larger_than_all_that_may_wait(coordinator: Coordinator) -> None:
    async def main() -> None:
        fanin = await connected(coordinator, backlog_bytes=1000)
        fanin.push([event(1, 5000)])
        assert await coordinator.events(1) == [event(1, 5000)]
        assert fanin.unpushed == 0
        await fanin.close()

    run(main())


def test_closing_lets_what_waits_go_out_first(coordinator: Coordinator) -> None:
    async def main() -> None:
        # A PULL that is full when its peer leaves drops what it hasn't read of the socket.
        fanin = await connected(coordinator, high_water_mark=10_000)
        fanin.push([event(n, 1000) for n in range(1500)])
        closing = asyncio.get_running_loop().create_task(fanin.close())
        assert await coordinator.headers(1500) == headers(range(1500))
        await closing

    run(main())


def test_closing_waits_for_a_coordinator_that_is_about_to_listen(coordinator: Coordinator) -> None:
    async def main() -> None:
        fanin = Fanin(str(coordinator.path))
        fanin.push([event(1)])
        closing = asyncio.get_running_loop().create_task(fanin.close())
        await asyncio.sleep(0.01)
        coordinator.listen()
        assert await coordinator.headers(1) == headers([1])
        await closing

    run(main())


def test_without_a_coordinator_events_wait_and_closing_takes_no_longer_than_it_may(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bus_link, "LINGER_S", 0.2)

    async def main() -> None:
        fanin = Fanin(str(coordinator.path))
        fanin.push([event(1)])
        await asyncio.sleep(0.25)
        await fanin.close()

    run(main())
    assert [record.message[:39] for record in caplog.records] == ["no way to the coordinator's fan-in yet,"]


def test_a_coordinator_that_hung_up_is_connected_to_again(
    coordinator: Coordinator, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        fanin = Fanin(str(coordinator.path))
        fanin.push([event(0)])
        coordinator.listen()
        assert await coordinator.headers(1) == headers([0])
        coordinator.hang_up()
        async with asyncio.timeout(5.0):
            while fanin._ready:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        fanin.push([event(1)])
        coordinator.listen()
        assert await coordinator.headers(1) == headers([1]), "what went out before doesn't go again"
        await fanin.close()

    run(main())
    assert "has hung up" in caplog.text


def test_whoever_is_no_pull_gets_no_event(coordinator: Coordinator, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        got = bytearray()

        async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            got.extend(await reader.read(-1))
            writer.close()

        server = await asyncio.start_unix_server(stranger, coordinator.path)
        fanin = Fanin(str(coordinator.path))
        fanin.push([event(1)])
        async with asyncio.timeout(5.0):
            while "not a ZeroMQ peer" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        server.close()
        fanin._early.clear()
        await fanin.close()
        assert b"header" not in got

    run(main())


# Control


@dataclass
class Line:
    """Both ends of a control channel; ours is a `Control`."""

    heard: list[Message] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Line:
        self.theirs, ours = socket.socketpair()
        self.theirs.setblocking(False)
        self.hung_up = asyncio.Event()
        self.control = Control(self.heard.append, self._orphaned)
        await self.control.attach(ours)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.theirs.close()
        async with asyncio.timeout(5.0):
            await self.hung_up.wait()

    def _orphaned(self, why: str) -> None:
        self.orphaned.append(why)
        self.hung_up.set()

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.theirs, data)
        await asyncio.sleep(0.005)


def test_what_the_coordinator_says_is_heard_however_it_is_cut() -> None:
    async def main() -> None:
        async with Line() as line:
            data = encode(Permit(10_005.0)) * 2
            for at in range(len(data)):
                await asyncio.get_running_loop().sock_sendall(line.theirs, data[at : at + 1])
            await line.say(b"")
            assert line.heard == [Permit(10_005.0)] * 2
            assert line.orphaned == []

    run(main())


def test_hearing_makes_room_for_what_was_said_and_not_for_what_might_be() -> None:
    room = Room()

    async def main() -> None:
        async with Line() as line:
            room.begin()
            await line.say(encode(Permit(10_005.0)))
            assert (room.most() < 100_000, line.heard) == (True, [Permit(10_005.0)])

    run(main())


def test_what_the_worker_tells_arrives_in_order() -> None:
    async def main() -> None:
        async with Line() as line:
            for message in (AskPermit(), PermitUsed(0.0), PULSE):
                line.control.tell(message)
            data = await asyncio.get_running_loop().sock_recv(line.theirs, 65_536)
            assert list(Unframer().feed(data)) == [AskPermit(), PermitUsed(0.0), PULSE]

    run(main())


def test_a_coordinator_that_is_gone_leaves_an_orphan_and_telling_it_is_harmless() -> None:
    async def main() -> None:
        line = Line()
        async with line:
            line.theirs.close()
            await asyncio.sleep(0.005)
            assert len(line.orphaned) == 1
            line.control.tell(AskPermit())

    run(main())


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\x01\xc0",
        b"\0\0\0\x0a\x81\xa4kind\xa3Job",
        WRONG_FIELD,
    ],
)
def test_a_coordinator_that_talks_nonsense_leaves_an_orphan(nonsense: bytes) -> None:
    async def main() -> None:
        async with Line() as line:
            await line.say(nonsense)
            assert len(line.orphaned) == 1
            assert line.heard == []

    run(main())


def test_figures_are_dropped_while_a_megabyte_is_unread_but_nothing_else_is() -> None:
    async def main() -> None:
        async with Line() as line:
            transport = line.control._transport
            assert transport is not None
            while (waiting := transport.get_write_buffer_size()) <= 1 << 20:
                line.control.tell(Refused(True, 4004, "x" * 50_000))
            line.control.tell(PULSE)
            assert transport.get_write_buffer_size() == waiting
            line.control.tell(AskPermit())
            assert transport.get_write_buffer_size() > waiting

    run(main())
