from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from gwcluster.errors import WireError
from gwworker.zmtp import GREETING, READY, Handshake, encode

PULL_READY = b"\x04\x27\x05READY\x0bSocket-Type\0\0\0\x04PULL\x08Identity\0\0\0\0"
"""What libzmq 4.3 sends."""

Event = tuple[bytes, bytes, bytes]
EVENTS = st.lists(
    st.tuples(st.binary(max_size=255), st.binary(max_size=255), st.binary(max_size=600)), max_size=5
)


class Peer:
    """A real PULL socket, and a bare connection to it."""

    def __init__(self, path: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.pull = self.context.socket(zmq.PULL)
        self.pull.rcvtimeo = 5_000
        self.pull.bind(f"ipc://{path}")
        self.line = socket.socket(socket.AF_UNIX)
        self.line.settimeout(5.0)
        self.line.connect(str(path))

    def shake_hands(self) -> None:
        self.line.sendall(GREETING + READY)
        handshake = Handshake()
        while not handshake.heard(self.line.recv(1024)):
            pass

    def close(self) -> None:
        self.line.close()
        self.context.destroy(linger=0)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    peer = Peer(tmp_path_factory.mktemp("zmtp") / "pull")
    peer.shake_hands()
    yield peer
    peer.close()


@given(events=EVENTS)
def test_a_real_pull_socket_gets_each_event_as_its_three_frames(peer: Peer, events: list[Event]) -> None:
    peer.line.sendall(encode(events))
    assert [tuple(peer.pull.recv_multipart()) for _ in events] == events


def test_a_long_payload_arrives_whole(peer: Peer) -> None:
    event = (b"GUILD_CREATE.0.", b"header", bytes(range(256)) * 20_000)
    peer.line.sendall(encode([event]))
    assert tuple(peer.pull.recv_multipart()) == event


@pytest.mark.parametrize("step", [1, 7, 64, 1_000])
def test_a_pull_is_ready_however_its_words_are_cut(step: int) -> None:
    said = GREETING + PULL_READY
    handshake = Handshake()
    heard = [handshake.heard(said[at : at + step]) for at in range(0, len(said), step)]
    assert heard == [False] * (len(heard) - 1) + [True]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request", "not a ZeroMQ peer"),
        (b"\xff" + bytes(9), "not a ZeroMQ peer"),
        (GREETING[:10] + b"\x01" + GREETING[11:], "not a ZeroMQ peer of version 3"),
        (GREETING.replace(b"NULL\0", b"CURVE"), "mechanism"),
        (GREETING + b"\0\5hello", "isn't ready"),
        (GREETING + b"\x04\x06\x05ERROR", "isn't ready"),
        (GREETING + PULL_READY.replace(b"PULL", b"DEAL"), "no PULL"),
    ],
)
def test_whoever_is_no_pull_is_refused(said: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        Handshake().heard(said)
