"""A cluster under attack, and what has to be so all the while: memory, heartbeats, service for others."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgpack
import zmq

from gwcluster.curve.certificate import Certificate
from support.cluster import Cluster, until
from support.keys import Keys

MIB: Final = 1 << 20
PATIENCE_S: Final = 20.0


class Target:
    """A running cluster with TCP sockets, and one well-behaved client that uses it all the time.

    Attributes:
        events, requests: addresses.
        keys: those that it asks for, if it does.
    """

    def __init__(
        self, cluster: Cluster, ports: dict[str, int], keys: Keys | None, witness: Certificate | None
    ) -> None:
        self.cluster = cluster
        self.ports = ports
        self.keys = keys
        self.events = f"tcp://127.0.0.1:{ports['events']}"
        self.requests = f"tcp://127.0.0.1:{ports['requests']}"
        self._key = witness

    def memory(self) -> int:
        """Return the coordinator's resident bytes at most since it began."""
        lines = Path(f"/proc/{self.cluster.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) << 10

    @contextlib.contextmanager
    def bounded(self, mebibytes: int) -> Iterator[None]:
        """See that others are served while the block runs, and that it costs no more memory than that."""
        with self._witness() as served:
            served()
            before = self.memory()
            busy = threading.Event()
            turns: list[float] = []
            failed: list[BaseException] = []

            def witness() -> None:
                try:
                    while not busy.is_set():
                        started = time.monotonic()
                        served()
                        turns.append(time.monotonic() - started)
                except BaseException as error:  # noqa: BLE001 - it is told in the test's thread
                    failed.append(error)

            thread = threading.Thread(target=witness)
            thread.start()
            try:
                yield
            finally:
                busy.set()
                thread.join()
            assert not failed, failed
            served()
            assert turns, "nobody was served while it went on"
        grown = self.memory() - before
        assert grown < mebibytes * MIB, f"{grown / MIB:.0f} MiB, at most {mebibytes} are said to be possible"

    @contextlib.contextmanager
    def _witness(self) -> Iterator[Callable[[], None]]:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        sub, dealer = context.socket(zmq.SUB), context.socket(zmq.DEALER)
        for made in (sub, dealer):
            self.unlock(made, self._key)
        sub.subscribe(b"GWCLUSTER_BEACON.")
        sub.subscribe(b"MESSAGE_CREATE.")
        sub.connect(self.events)
        dealer.connect(self.requests)
        numbers = iter(range(1 << 30))

        def served() -> None:
            """Hear an event that is new, and have each kind of request answered."""
            while sub.poll(0):
                sub.recv_multipart()
            assert sub.poll(int(1000 * PATIENCE_S)), "no event came"
            for op in ({"op": "status"}, {"op": "replay", "shard": 0, "limit": 5}):
                assert self.ask(dealer, **op, id=next(numbers))["ok"] is True

        try:
            yield served
        finally:
            context.destroy(linger=0)

    def ask(self, dealer: zmq.Socket[bytes], **fields: Any) -> dict[str, Any]:
        """Ask until there is an answer that isn't a wish for patience; fail if none comes."""
        until_s = time.monotonic() + PATIENCE_S
        while True:
            dealer.send(msgpack.packb({"v": 1, **fields}))
            while True:
                assert dealer.poll(int(1000 * PATIENCE_S)), f"no answer to {fields}"
                found: dict[str, Any] = msgpack.unpackb(dealer.recv_multipart()[-1])
                if found["id"] == fields["id"]:
                    break
            if found["ok"] or found["error"]["code"] != "rate_limited" or time.monotonic() > until_s:
                return found
            time.sleep(0.05)

    def unlock(self, made: zmq.Socket[bytes], key: Certificate | None) -> None:
        if self.keys is not None and key is not None:
            self.keys.prove(made, key)

    @contextlib.contextmanager
    def client(self, kind: int, **options: int) -> Iterator[zmq.Socket[bytes]]:
        """Connect a socket without a key to where its kind belongs."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        made = context.socket(kind)
        made.sndhwm = 0
        for name, value in options.items():
            setattr(made, name, value)
        made.connect(self.events if kind == zmq.SUB else self.requests)
        try:
            yield made
        finally:
            context.destroy(linger=0)

    def said(self, words: str) -> None:
        """Wait until this is in the log."""
        until(lambda: words in self.cluster.text(), f"the log to say: {words}")


GREETING: Final = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
"""Of a client that speaks ZMTP 3.0 without keys: https://rfc.zeromq.org/spec/23/"""


def ready(kind: bytes) -> bytes:
    """Return the command with which a client of a kind ends its handshake."""
    body = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return b"\x04" + bytes([len(body)]) + body


def frame(body: bytes, *, more: bool = False) -> bytes:
    """Return a frame of a message."""
    return bytes([2 | more]) + len(body).to_bytes(8, "big") + body


@contextlib.contextmanager
def dialled(port: int, count: int = 1) -> Iterator[list[socket.socket]]:
    """Open so many bare TCP connections."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S))
            for _ in range(count)
        ]


def greet(connection: socket.socket, kind: bytes) -> None:
    """Shake hands as a client of a kind, until the other side is done with that or hangs up."""
    came = b""
    with contextlib.suppress(ConnectionError):
        connection.sendall(GREETING + ready(kind))
        while b"Socket-Type" not in came and (more := connection.recv(4096)):
            came += more


def free_ports(*names: str) -> dict[str, int]:
    """Return ports of loopback that nobody uses now."""
    with contextlib.ExitStack() as stack:
        probes = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}
        return {name: probe.getsockname()[1] for name, probe in probes.items()}
