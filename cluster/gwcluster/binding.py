"""Binds sockets (does), without what ZeroMQ does: take over the ipc path of a process that is alive."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from pathlib import Path

import zmq

from gwcluster.errors import GwclusterError


class BindError(GwclusterError):
    """A socket can't be bound; the message names it."""


def bind(sock: zmq.Socket[bytes], address: str) -> None:
    """Bind `sock` to a `tcp://`, `ipc://` or `inproc://` address.

    Raises:
        BindError: somebody else listens there, or there is no such place.
        zmq.ContextTerminated: there is nothing to be bound any more.
    """
    path = _ipc_path(address)
    if path is not None and _is_listened_at(path):
        raise BindError(f"can't bind {address}: another process listens there")
    try:
        sock.bind(address)
        if path is not None:
            path.chmod(0o600)  # ZeroMQ leaves it to the umask who may connect
    except zmq.ContextTerminated:
        raise
    except zmq.ZMQError as error:
        hint = "; is another cluster running?" if error.errno == errno.EADDRINUSE else ""
        raise BindError(f"can't bind {address}: {zmq.strerror(error.errno or 0)}{hint}") from error


def socket_files(addresses: Iterable[str]) -> list[Path]:
    """Return the files that sockets bound to these addresses have; ZeroMQ leaves them behind."""
    return [path for address in addresses if (path := _ipc_path(address)) is not None]


def _ipc_path(address: str) -> Path | None:
    return Path(address.removeprefix("ipc://")) if address.startswith("ipc://") else None


def _is_listened_at(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # somebody listens and is too busy, or stopped, to accept
            return True
        except OSError:
            return False
        return True
