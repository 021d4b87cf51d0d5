"""Each machine's way to the simulator (does): its own 127.0.0.1, passed on to ours, and cut where wanted.

The simulator, like a cluster that speaks to it without TLS, keeps to loopback, and each machine has a
loopback of its own. So on each one something listens at the simulator's ports and passes all bytes on, from
an address by which the simulator can tell the machines apart. While a machine's way is cut, nothing passes in
either direction, no end of a connection either; when it is mended, what waited goes on its way, as TCP would
have sent it again. One difference from a cable: a dial
succeeds as far as this machine's loopback, and then hangs.
"""

from __future__ import annotations

import contextlib
import functools
import selectors
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from chaos.namespaces import Network

Way = Literal["open", "vanish", "reset"]

_CHUNK: Final = 1 << 16
_WAITS_BYTES: Final = 1 << 20
"""Of one direction of a connection; beyond that its sender is read no further."""

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


@dataclass(slots=True, eq=False)
class End:
    """One socket of a connection that is passed on, and what waits to be written to it."""

    sock: socket.socket
    waiting: bytearray = field(default_factory=bytearray)
    ended: bool = False
    """It sends no more."""
    broken: bool = False
    """It was reset."""
    closed: bool = False
    """It was told that the other sends no more."""


@dataclass(slots=True, eq=False)
class Passed:
    """One connection from a machine.

    Attributes:
        peer: the address and port by which the simulator knows it.
        gone: monotonic seconds at which its client had let go of it.
    """

    machine: str
    peer: str
    client: End
    server: End
    gone: float | None = None


class Relays:
    """The ways of some machines to ports of this machine's 127.0.0.1, as long as the `with` block lasts."""

    def __init__(self, network: Network, machines: Sequence[str], ports: Sequence[int]) -> None:
        """Listen on each machine at each port."""
        self._addresses = {name: f"127.0.1.{at}" for at, name in enumerate(machines, start=1)}
        self._ways: dict[str, Way] = dict.fromkeys(machines, "open")
        self._passed: list[Passed] = []
        self._live: dict[socket.socket, Passed] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake, woken = socket.socketpair()
        self._selector.register(woken, _READ, None)
        self._woken = woken
        self._ended = False
        self._listening: dict[socket.socket, tuple[str, int]] = {}
        for name in machines:
            for port in ports:
                listening = network.on(name, functools.partial(_listening, port))
                listening.setblocking(False)
                self._listening[listening] = name, port
                self._selector.register(listening, _READ, None)
        self._thread = threading.Thread(target=self._pass_on, name="relays", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and reset whatever is still passed on."""
        self._ended = True
        self._wake.send(b"x")
        self._thread.join()
        for one in set(self._live.values()):
            self._drop(one)
        for listening in self._listening:
            listening.close()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def origin(self, machine: str) -> str:
        """Return the address by which the simulator knows a machine."""
        return self._addresses[machine]

    def machine(self, origin: str) -> str:
        """Return the machine of such an address, or the address if it is none of a machine."""
        return next((name for name, address in self._addresses.items() if address == origin), origin)

    def cut(self, machine: str, how: Literal["vanish", "reset"] = "vanish") -> None:
        """Let nothing pass between a machine and the simulator, or reset what there is and what comes."""
        self._set(machine, how)

    def mend(self, machine: str) -> None:
        """Let everything pass again."""
        self._set(machine, "open")

    def gone(self) -> dict[str, float]:
        """Return by the simulator's names for them when connections' clients had let go of them."""
        with self._lock:
            return {one.peer: one.gone for one in self._passed if one.gone is not None}

    def _set(self, machine: str, way: Way) -> None:
        with self._lock:
            self._ways[machine] = way
        self._wake.send(b"x")

    # ------------------------------------------------------------------ in the thread

    def _pass_on(self) -> None:
        while not self._ended:
            for key, events in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                with self._lock:
                    if sock in self._listening:
                        self._accept(sock)
                    elif sock is self._woken:
                        self._woken.recv(_CHUNK)
                        self._look_at_all()
                    elif sock in self._live:
                        self._serve(self._live[sock], sock, events)

    def _accept(self, listening: socket.socket) -> None:
        name, port = self._listening[listening]
        try:
            client, _ = listening.accept()
        except OSError:
            return
        if self._ways[name] == "reset":
            _reset(client)
            return
        server = socket.socket()
        try:
            server.bind((self._addresses[name], 0))
            server.connect(("127.0.0.1", port))  # loopback: at once, or it is refused
        except OSError:
            _reset(client)
            server.close()
            return
        address, own = server.getsockname()[:2]
        one = Passed(name, f"{address}:{own}", End(client), End(server))
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._live[sock] = one
            self._selector.register(sock, _READ, None)
        self._passed.append(one)
        self._watch(one)

    def _look_at_all(self) -> None:
        for one in set(self._live.values()):
            if self._ways[one.machine] == "reset":
                one.gone = one.gone or time.monotonic()
                self._drop(one)
            else:
                self._move(one)

    def _serve(self, one: Passed, sock: socket.socket, events: int) -> None:
        end, other = (one.client, one.server) if sock is one.client.sock else (one.server, one.client)
        if events & _READ and not end.ended:
            try:
                data = sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                end.broken, data = True, b""
            other.waiting += data
            if not data:
                end.ended = True
                if end is one.client:
                    one.gone = time.monotonic()
        self._move(one)

    def _move(self, one: Passed) -> None:
        """Pass on what waits, and ends, unless the way is cut."""
        if self._ways[one.machine] == "open":
            for end, other in ((one.client, one.server), (one.server, one.client)):
                self._write(end)
                if other.ended and not end.waiting and not end.closed:
                    end.closed = True
                    if other.broken:
                        self._drop(one)
                        return
                    with contextlib.suppress(OSError):
                        end.sock.shutdown(socket.SHUT_WR)
            if one.client.closed and one.server.closed:
                self._forget(one)
                return
        self._watch(one)

    def _write(self, end: End) -> None:
        while end.waiting:
            try:
                sent = end.sock.send(end.waiting)
            except BlockingIOError:
                return
            except OSError:  # its own end is read as such, sooner or later
                end.waiting.clear()
                return
            del end.waiting[:sent]

    def _watch(self, one: Passed) -> None:
        """Read from each end what there is room for, and write what may pass."""
        is_open = self._ways[one.machine] == "open"
        for end, other in ((one.client, one.server), (one.server, one.client)):
            reads = not end.ended and len(other.waiting) < _WAITS_BYTES
            wanted = (_READ if reads else 0) | (_WRITE if is_open and end.waiting else 0)
            registered = self._selector.get_map().get(end.sock)
            if not wanted:
                if registered is not None:
                    self._selector.unregister(end.sock)
            elif registered is None:
                self._selector.register(end.sock, wanted, None)
            elif registered.events != wanted:
                self._selector.modify(end.sock, wanted, None)

    def _drop(self, one: Passed) -> None:
        self._forget(one, resets=True)

    def _forget(self, one: Passed, *, resets: bool = False) -> None:
        for end in (one.client, one.server):
            self._live.pop(end.sock, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end.sock)
            if resets:
                _reset(end.sock)
            end.sock.close()


def _listening(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=1024)


def _reset(sock: socket.socket) -> None:
    """Close with a TCP reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
