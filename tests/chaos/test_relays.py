"""Each machine's way to the simulator passes everything on, in both directions, until it is cut."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from websockets.sync.client import ClientConnection, connect

from chaos.namespaces import Network
from chaos.relays import Relays
from gwsimulator import Settings, in_thread
from gwsimulator.invariants import broken
from gwsimulator.ledger import Ledger
from support.cluster import until
from support.machines import dialled, machines

SOON_S: Final = 0.3
LONG_S: Final = 10.0


class Way:
    """A server on our loopback, and two machines with a way to it."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.server.settimeout(LONG_S)
        self.port = self.server.getsockname()[1]
        self.network = stack.enter_context(machines("a", "b"))
        self.relays = stack.enter_context(Relays(self.network, ["a", "b"], [self.port]))
        self._stack = stack

    def connect(self, machine: str = "a") -> tuple[socket.socket, socket.socket]:
        """Return both ends of a connection."""
        client = self._stack.enter_context(dialled(self.network, machine, ("127.0.0.1", self.port), LONG_S))
        accepted, _ = self.server.accept()
        self._stack.enter_context(accepted)
        accepted.settimeout(LONG_S)
        return client, accepted


@pytest.fixture
def way() -> Iterator[Way]:
    with contextlib.ExitStack() as stack:
        yield Way(stack)


def nothing_comes(to: socket.socket) -> bool:
    to.settimeout(SOON_S)
    try:
        return not to.recv(1)
    except TimeoutError:
        return True
    finally:
        to.settimeout(LONG_S)


def test_both_directions_pass_and_the_server_can_tell_the_machines_apart(way: Way) -> None:
    for machine in ("a", "b"):
        client, server = way.connect(machine)
        client.sendall(b"up")
        server.sendall(b"down")
        assert (server.recv(9), client.recv(9)) == (b"up", b"down")
        origin = server.getpeername()[0]
        assert (origin, way.relays.machine(origin)) == (way.relays.origin(machine), machine)
    assert way.relays.origin("a") != way.relays.origin("b")


def test_ends_pass_each_for_itself(way: Way) -> None:
    client, server = way.connect()
    client.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b""
    server.sendall(b"last words")
    server.close()
    assert client.recv(99) == b"last words"
    assert client.recv(1) == b""


def test_a_reset_passes_as_one(way: Way) -> None:
    client, server = way.connect()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_much_passes_whole_though_its_reader_is_slow(way: Way) -> None:
    client, server = way.connect()
    sent = bytes(range(256)) * (1 << 18)  # 64 MiB, more than all buffers between the two

    def send() -> None:
        server.sendall(sent)
        server.close()

    sender = threading.Thread(target=send)
    sender.start()
    sender.join(SOON_S)
    assert sender.is_alive(), "nobody reads, and it was all taken"
    got = b"".join(iter(lambda: client.recv(1 << 20), b""))
    sender.join()
    assert got == sent


def test_while_a_way_is_cut_nothing_passes_and_then_everything_that_waited(way: Way) -> None:
    client, server = way.connect()
    other, other_server = way.connect("b")
    way.relays.cut("a")
    settled(way)
    client.sendall(b"up")
    server.sendall(b"down")
    assert nothing_comes(server)
    assert nothing_comes(client)
    other.sendall(b"x")
    assert other_server.recv(1) == b"x"
    way.relays.mend("a")
    assert (server.recv(9), client.recv(9)) == (b"up", b"down")


def test_a_dial_while_the_way_is_cut_gets_no_answer_until_it_is_mended(way: Way) -> None:
    way.relays.cut("a")
    client, server = way.connect()
    client.sendall(b"hello?")
    assert nothing_comes(server)
    way.relays.mend("a")
    assert server.recv(9) == b"hello?"


def test_the_server_hears_of_no_end_while_the_way_is_cut_but_the_relay_knows_when_it_was(way: Way) -> None:
    client, server = way.connect()
    peer = ":".join(map(str, server.getpeername()))
    way.relays.cut("a")
    settled(way)
    before = time.monotonic()
    assert way.relays.gone() == {}
    client.close()
    gone = until(way.relays.gone, "what the relay knows")
    assert before <= gone[peer] <= time.monotonic()
    server.settimeout(SOON_S)
    with pytest.raises(TimeoutError):
        server.recv(1)
    way.relays.mend("a")
    server.settimeout(LONG_S)
    assert server.recv(1) == b""


def test_a_way_that_resets_does_so_to_what_there_is_and_what_comes(way: Way) -> None:
    client, server = way.connect()
    way.relays.cut("a", "reset")
    for end in (client, server):
        with pytest.raises(ConnectionResetError):
            end.recv(1)
    with pytest.raises(ConnectionResetError), dialled(way.network, "a", ("127.0.0.1", way.port)) as again:
        again.recv(1)
    way.relays.mend("a")
    client, server = way.connect()
    client.sendall(b"x")
    assert server.recv(1) == b"x"


def test_who_dials_what_does_not_listen_is_reset(way: Way) -> None:
    way.server.close()
    with pytest.raises(ConnectionResetError), dialled(way.network, "a", ("127.0.0.1", way.port)) as client:
        client.recv(1)


def settled(way: Way) -> None:
    """Return when what was ordered before is done: connections are served by one thread, in turn."""
    client, server = way.connect("b")
    client.sendall(b"x")
    assert server.recv(1) == b"x"


# ---------------------------------------------------------------------- with the simulator


@contextlib.contextmanager
def greeted(network: Network, machine: str, url: str) -> Iterator[ClientConnection]:
    """Open a websocket from a machine; the block ends it as it likes."""
    sock = dialled(network, machine, ("127.0.0.1", int(url.rpartition(":")[2])))
    sock.settimeout(None)
    url = f"{url}/?v=10&encoding=json"
    with connect(url, sock=sock, proxy=None, compression=None, ping_interval=None) as ws:
        assert received(ws)["op"] == 10
        yield ws


def received(ws: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(ws.recv(LONG_S))
    return message


def test_two_machines_with_one_shard_at_once_are_seen_and_who_let_go_unheard_is_not_blamed() -> None:
    settings = Settings(shards=1, guilds=0)
    with (
        in_thread(settings) as sim,
        machines("a", "b") as network,
        Relays(network, ["a", "b"], [int(sim.gateway_url.rpartition(":")[2])]) as relays,
    ):
        with greeted(network, "a", sim.gateway_url) as first:
            identify = {"token": "t", "intents": 1, "properties": {}, "shard": [0, 1]}
            first.send(json.dumps({"op": 2, "d": identify}))
            session = received(first)["d"]["session_id"]
            relays.cut("a")
            first.socket.shutdown(socket.SHUT_RDWR)  # it lets go, and the simulator doesn't hear of it
        ((link, at),) = until(lambda: known(sim.ledger, relays), "what the relay knows").items()
        with greeted(network, "b", sim.gateway_url) as second:
            second.send(json.dumps({"op": 6, "d": {"token": "t", "session_id": session, "seq": 1}}))
            assert received(second)["t"] == "RESUMED"
            assert told(broken(sim.ledger, settings)) == ["I13"]
            assert told(broken(sim.ledger, settings, gone={link: at})) == []
            assert told(broken(sim.ledger, settings, gone={link: at + 60.0})) == ["I13"]


def known(ledger: Ledger, relays: Relays) -> dict[int, float]:
    gone = relays.gone()
    return {one.link: gone[one.peer] for one in ledger.connections if one.peer in gone}


def told(sentences: list[str]) -> list[str]:
    return [one.partition(":")[0] for one in sentences if one.startswith("I13")]
