"""Machines that are network namespaces, or the test is skipped and says why."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from chaos.namespaces import Network, NoNamespaces

PORT = 7000


@contextlib.contextmanager
def machines(*names: str) -> Iterator[Network]:
    """Make machines as long as the block runs."""
    try:
        network = Network(names)
    except NoNamespaces as why:
        pytest.skip(str(why))
    with network:
        yield network


def listening(network: Network, name: str, port: int = PORT) -> socket.socket:
    """Return a socket that listens on a machine."""
    return network.on(name, partial(socket.create_server, (network.address(name), port)))


def dialled(network: Network, name: str, to: tuple[str, int], seconds: float = 5.0) -> socket.socket:
    """Return a connection from a machine.

    Raises:
        OSError: there is none; TimeoutError: nobody answered.
    """

    def dial() -> socket.socket:
        return socket.create_connection(to, timeout=seconds)

    return network.on(name, dial)
