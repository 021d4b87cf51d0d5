"""Who is let in (does): asks of each new connection whose key it proved, by ZeroMQ's authentication protocol.

pyzmq's own authenticator answers, in a thread of its own; it knows what to answer from us.

Sources:
    https://rfc.zeromq.org/spec/27/
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import zmq
from zmq.auth.thread import ThreadAuthenticator

from gwcluster.curve.clients import Client, Clients
from gwcluster.curve.key_files import read_secret
from gwcluster.wire.permissions import Permission, in_words

EVENTS: Final = "events"
REQUESTS: Final = "requests"

SAY_S: Final = 10.0
"""Between two lines about connections that were refused at one door."""

Socket = zmq.Socket[bytes]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Locks:
    """What sockets are locked with.

    Attributes:
        secret_key: the cluster's own.
        clients: who has a key.
        clock: monotonic seconds.
    """

    secret_key: bytes = field(repr=False)
    clients: Clients
    clock: Callable[[], float]


def locks(secret_key_file: Path, clients_dir: Path, *, clock: Callable[[], float]) -> Locks:
    """Return what two paths hold.

    Raises:
        KeyFileError: one of the files can't be used.
    """
    secret_key = read_secret(secret_key_file).secret_key
    assert secret_key is not None, "read_secret has seen to it"
    return Locks(secret_key, Clients(clients_dir), clock)


class Door:
    """Answers for the sockets of one context; to be closed before that.

    Args:
        context: of the sockets.
        keys: what they are locked with.
    """

    def __init__(self, context: zmq.Context[Socket], keys: Locks) -> None:
        self._keys = keys
        self._clock = keys.clock
        self._refused = 0
        self._say_at = float("-inf")
        self._answering = ThreadAuthenticator(context, log=logging.getLogger(f"{__name__}.zap"))
        self._answering.start()

    def lock(self, socket: Socket, name: str) -> None:
        """Let only known keys connect to a socket before it is bound; to `EVENTS` those that may read."""
        socket.curve_server = True
        socket.curve_secretkey = self._keys.secret_key
        socket.zap_domain = name.encode("ascii")
        self._answering.configure_curve_callback(name, self)

    def callback(self, domain: str, public_key: bytes) -> bool:
        """Say whether the owner of a key, in Z85, may come in; pyzmq calls it in a thread of its own."""
        client = self._keys.clients.who(public_key)
        if client is not None and (domain == REQUESTS or Permission.READ in client.may):
            return True
        self._refused += 1
        if self._clock() >= self._say_at:
            self._say_at = self._clock() + SAY_S
            log.warning("refused at %s: %s; %d by now", domain, _described(client, public_key), self._refused)
        return False

    def close(self) -> None:
        """Answer no more."""
        self._answering.stop()


def _described(client: Client | None, public_key: bytes) -> str:
    if client is None:
        return f"the key {public_key.decode('ascii', 'replace')}, which no client has"
    return f"client {client.name}, who may {in_words(client.may)}"
