from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import zmq

from gwcluster.wire.control import AskPermit, Message, Permit, PermitUsed, Pulse, Refused, Unframer, encode
from gwworker.bus_link import Control, Fanin

ENDPOINT = "inproc://fanin"
Frames = tuple[bytes, bytes, bytes]
WRONG_FIELD = encode(Permit(1.0)).replace(b"until", b"since")
PULSE = Pulse(1, 0, 0, 0, 0, None, None, None, 0, 0, 1, 0, None)


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def coordinator(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    pull = context.socket(zmq.PULL)
    pull.rcvhwm = 1
    pull.rcvtimeo = 1000
    pull.bind(ENDPOINT)
    return pull


def event(n: int, size: int = 10) -> Frames:
    return b"A.3.", b"header %d" % n, b"x" * size


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 10.0))


# Fan-in


def test_an_event_arrives_as_its_three_frames(
    context: zmq.Context[zmq.Socket[bytes]], coordinator: zmq.Socket[bytes]
) -> None:
    async def main() -> None:
        fanin = Fanin(context, ENDPOINT)
        fanin.push([event(1), event(2)])
        assert coordinator.recv_multipart() == list(event(1))
        assert coordinator.recv_multipart() == list(event(2))
        await fanin.close()

    run(main())


def test_a_coordinator_that_does_not_read_is_never_waited_for_and_gets_all_in_order_later(
    context: zmq.Context[zmq.Socket[bytes]], coordinator: zmq.Socket[bytes]
) -> None:
    async def main() -> None:
        fanin = Fanin(context, ENDPOINT)
        began = time.monotonic()
        for n in range(3000):
            fanin.push([event(n)])
        assert time.monotonic() - began < 1.0
        assert fanin.unpushed == 0
        got: list[bytes] = []
        while len(got) < 3000:
            try:
                got.append(coordinator.recv_multipart(zmq.DONTWAIT)[1])
            except zmq.Again:
                await asyncio.sleep(0.001)
        assert got == [b"header %d" % n for n in range(3000)]
        await fanin.close()

    run(main())


def test_an_event_does_not_overtake_those_that_wait_when_there_is_room_again(
    context: zmq.Context[zmq.Socket[bytes]], coordinator: zmq.Socket[bytes]
) -> None:
    async def main() -> None:
        fanin = Fanin(context, ENDPOINT)
        fanin.push(event(n) for n in range(1500))
        got = [coordinator.recv_multipart()[1] for _ in range(1000)]
        fanin.push([event(1500)])
        got += [coordinator.recv_multipart()[1] for _ in range(501)]
        assert got == [b"header %d" % n for n in range(1501)]
        await fanin.close()

    run(main())


def test_what_waits_is_bounded_in_bytes_and_what_finds_no_room_is_counted(
    context: zmq.Context[zmq.Socket[bytes]], coordinator: zmq.Socket[bytes]
) -> None:
    async def main() -> None:
        fanin = Fanin(context, ENDPOINT, backlog_bytes=1000)
        n = 0
        while not fanin.unpushed:
            fanin.push([event(n, 100)])
            n += 1
        fanin.push([event(n, 100)])
        assert fanin.unpushed == 2
        got: list[bytes] = []
        while len(got) < n - 1:
            try:
                got.append(coordinator.recv_multipart(zmq.DONTWAIT)[1])
            except zmq.Again:
                await asyncio.sleep(0.001)
        fanin.push([event(99_999, 100)])
        assert coordinator.recv_multipart()[1] == b"header 99999", "there is room again"
        assert fanin.unpushed == 2
        assert got == [b"header %d" % sent for sent in range(n - 1)]
        await fanin.close()

    run(main())


def test_closing_lets_what_waits_go_out_first(
    context: zmq.Context[zmq.Socket[bytes]], coordinator: zmq.Socket[bytes]
) -> None:
    async def main() -> None:
        fanin = Fanin(context, ENDPOINT)
        fanin.push(event(n) for n in range(1500))
        closing = asyncio.get_running_loop().create_task(fanin.close())
        got = 0
        while got < 1500:
            try:
                coordinator.recv_multipart(zmq.DONTWAIT)
                got += 1
            except zmq.Again:
                await asyncio.sleep(0.001)
        await closing
        assert fanin.unpushed == 0

    run(main())


def test_without_a_coordinator_events_wait_and_nothing_fails(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    async def main() -> None:
        fanin = Fanin(context, "tcp://127.0.0.1:9")
        fanin.push([event(1)])
        fanin._push.linger = 0  # or the context would wait for it after this test
        began = time.monotonic()
        await fanin.close()
        assert time.monotonic() - began < 0.5

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
