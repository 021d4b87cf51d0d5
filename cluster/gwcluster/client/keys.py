"""The keys with which a program proves who it is (does): given, or out of files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gwcluster.curve.certificate import is_key
from gwcluster.curve.key_files import KeyFileError, public_file_of, read_public, read_secret
from gwcluster.errors import GwclusterError

KEY_VARIABLE: Final = "GWCLUSTER_KEY"
"""In the environment, the file of a client's secret key."""


class KeyRefused(GwclusterError):  # noqa: N818 - the name that callers read is what happened
    """The cluster doesn't let this program in, or not for this; the message says why. Don't try again."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Keys of ZeroMQ's CURVE, each 40 characters of Z85 as in a certificate of `gwcluster keygen`.

    Attributes:
        server_key: the cluster's public key, by which a program knows it.
        public_key, secret_key: the program's own, by which the cluster knows it.

    Raises:
        ValueError: one of them is no key.
    """

    server_key: str
    public_key: str
    secret_key: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("server_key", "public_key", "secret_key"):
            key = getattr(self, name)
            if not isinstance(key, str) or not is_key(key):
                raise ValueError(f"{name} is no key; it should be 40 characters out of a certificate")

    @classmethod
    def load(
        cls, client_secret_file: str | os.PathLike[str], server_public_file: str | os.PathLike[str]
    ) -> Curve:
        """Return the keys in two certificates: this program's secret one, and the cluster's public one.

        Raises:
            KeyFileError: one can't be used; the message says what would be right.
        """
        own, server = read_secret(Path(client_secret_file)), read_public(Path(server_public_file))
        assert own.secret_key is not None, "read_secret has seen to it"
        return cls(server.public_key.decode(), own.public_key.decode(), own.secret_key.decode())


def own_keys(client_secret_file: Path | None, cluster_secret_file: Path) -> Curve:
    """Return the keys for a cluster whose file names `cluster_secret_file`.

    The cluster's public key is in the file beside that one; where there is none, the secret file says it.

    Args:
        client_secret_file: None: the one that the environment names.

    Raises:
        KeyFileError: one of them can't be used.
        KeyRefused: no key of this program's was given.
    """
    given = client_secret_file or os.environ.get(KEY_VARIABLE)
    if not given:
        raise KeyRefused(
            "this cluster lets nobody in without a key; make one with gwcluster keygen --client, and name "
            f"its secret file in ${KEY_VARIABLE}, as curve=, or with --key"
        )
    public = public_file_of(cluster_secret_file)
    if _is_there(public):
        return Curve.load(given, public)
    try:
        return Curve.load(given, cluster_secret_file)
    except KeyFileError as error:
        if _is_there(cluster_secret_file):
            raise
        raise KeyFileError(public, "there is no such file; copy the cluster's public key there") from error


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):  # in a folder that is the cluster's alone, perhaps
        return False
    return True
