from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

import pytest
import zmq

from gwcluster.allowance import Allowance
from gwcluster.binding import bind
from gwcluster.inflow import Inflow
from support.abuse import dialled, frame, free_ports, greet
from support.cluster import until

KIB = 1 << 10
TIGHT = Allowance(each_bytes=64 * KIB, total_bytes=128 * KIB, per_s_bytes=0)


class Router:
    """A bound socket that is watched."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.port = free_ports("router")["router"]
        self.socket = context.socket(zmq.ROUTER)
        address = f"tcp://127.0.0.1:{self.port}"
        self.inflow = Inflow(self.socket, [address], TIGHT, clock=time.monotonic)
        bind(self.socket, address)
        self.inflow.start()

    def read(self) -> int:
        """Read one message, and say how large it was."""
        assert self.socket.poll(20_000)
        frames = self.socket.recv_multipart(copy=False)
        self.inflow.was_read(frames[-1])
        return sum(len(each) for each in frames[1:])


@pytest.fixture
def router() -> Iterator[Router]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
    made = Router(context)
    yield made
    made.socket.close(0)
    context.term()


def test_a_message_without_an_end_ends_its_connection_and_no_other(
    router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    with dialled(router.port, 2) as (good, bad):
        for one in (good, bad):
            greet(one, b"DEALER")
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000):
                bad.sendall(frame(bytes(KIB), more=True))
        until(lambda: caplog.messages, "it to be said")
        with contextlib.suppress(ConnectionError):
            while bad.recv(4096):
                pass
        good.sendall(frame(b"hello"))
        assert router.read() == 5
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "was disconnected: it has sent" in record.getMessage()


def test_who_is_read_may_send_for_ever(router: Router, caplog: pytest.LogCaptureFixture) -> None:
    with dialled(router.port) as (one,):
        greet(one, b"DEALER")
        for _ in range(20):
            one.sendall(frame(bytes(16 * KIB)))
            assert router.read() == 16 * KIB
            time.sleep(0.12)  # it is looked each tenth of a second
        one.sendall(frame(b"end"))
        assert router.read() == 3
    assert caplog.messages == []


def test_sockets_with_a_path_are_left_alone() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(1)
    router = context.socket(zmq.ROUTER)
    inflow = Inflow(router, ["ipc:///nowhere"], TIGHT, clock=time.monotonic)
    inflow.start()
    inflow.was_read(zmq.Frame(b""))
    router.close(0)
    context.term()
