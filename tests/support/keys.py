"""A cluster's keys and its clients', as files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import zmq

from gwcluster.curve.certificate import Certificate, permissions, written
from gwcluster.curve.door import Locks, locks


class Keys:
    """Keys in a folder of their own, made when they are asked for.

    Attributes:
        server: of the cluster.
        secret_file: with the cluster's secret key.
        clients_dir: with the public keys of its clients.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.server = pair()
        self.secret_file = folder / "cluster.key_secret"
        self.clients_dir = folder / "clients"
        self.clients_dir.mkdir()
        write(self.secret_file, self.server)
        write(folder / "cluster.key", public(self.server))

    def client(self, name: str, may: str = "read") -> Certificate:
        """Make a client's key and put its public half into the folder."""
        made = pair(may)
        self.admit(name, made)
        return made

    def admit(self, name: str, certificate: Certificate) -> Path:
        """Put the public half of a key into the folder, or put it there anew."""
        path = self.clients_dir / f"{name}.key"
        write(path, public(certificate))
        return path

    def locks(self) -> Locks:
        return locks(self.secret_file, self.clients_dir, clock=time.monotonic)

    @property
    def setting(self) -> str:
        """What `security` is in a cluster.yaml."""
        return f"{{curve: {{secret_key_file: '{self.secret_file}', clients_dir: '{self.clients_dir}'}}}}"

    def prove(self, socket: zmq.Socket[Any], client: Certificate) -> None:
        """Give a client's keys to a socket that isn't connected yet."""
        socket.curve_serverkey = self.server.public_key
        socket.curve_publickey = client.public_key
        socket.curve_secretkey = client.secret_key


def pair(may: str = "read") -> Certificate:
    """Return a new pair of keys."""
    return Certificate(*zmq.curve_keypair(), permissions(may))


def public(certificate: Certificate) -> Certificate:
    return Certificate(certificate.public_key, None, certificate.may)


def write(path: Path, certificate: Certificate) -> None:
    """Write a certificate, over another one if there is one, with the mode that it should have."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(written(certificate, []))
    beside.chmod(0o644 if certificate.secret_key is None else 0o600)
    beside.rename(path)
