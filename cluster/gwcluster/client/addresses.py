"""Where a cluster's sockets are (does): what was given, or what its file says."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gwcluster.client.keys import Curve, own_keys
from gwcluster.errors import quoted

_ADDRESS: Final = re.compile(r"tcp://[^\s/]+:[0-9]{1,5}|ipc://.{1,100}", re.DOTALL)
"""Linux's path of a socket has at most 107 bytes."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """ZeroMQ addresses of one cluster, its PUB socket and its ROUTER socket, and the keys that open them.

    Raises:
        ValueError: nobody can connect to one of them.
    """

    events: str
    requests: str
    curve: Curve | None = None

    def __post_init__(self) -> None:
        for key in ("events", "requests"):
            address = getattr(self, key)
            if not isinstance(address, str) or _ADDRESS.fullmatch(address) is None:
                raise ValueError(
                    f"{key} is {quoted(address)}; it should be an address such as tcp://127.0.0.1:5570"
                )


def find(
    file: str | os.PathLike[str] | None,
    events: str | None,
    requests: str | None,
    curve: Curve | None = None,
    *,
    key: Path | None = None,
) -> Addresses:
    """Return a cluster's addresses; what is given goes before what the file says.

    The file's token is not read, so it need not be at hand.

    Args:
        key: file of this program's secret key, if the file says that the cluster asks for one.

    Raises:
        TypeError: neither a file nor both addresses were given.
        ValueError: one of them is no address.
        gwcluster.config.ConfigError: the file can't be used; print it.
        KeyFileError, KeyRefused: the cluster asks for keys, and there are none that can be used.
    """
    if events is not None and requests is not None:
        return Addresses(events, requests, curve)
    if file is None:
        raise TypeError(
            'connect() needs a file, as in connect("cluster.yaml"), or both events= and requests='
        )
    from gwcluster.config import load  # YAML and pydantic, which a bot without a file doesn't need

    config = load(Path(file), environ=os.environ, client=True)
    if curve is None and config.security.curve is not None:
        curve = own_keys(key, config.security.curve.secret_key_file)
    return Addresses(
        events or _reachable(config.events.bind[0]), requests or _reachable(config.requests.bind[0]), curve
    )


def _reachable(bind: str) -> str:
    """Return where to connect to for what is bound: nobody can connect to `*` or 0.0.0.0."""
    for everywhere, here in (
        ("tcp://*:", "tcp://127.0.0.1:"),
        ("tcp://0.0.0.0:", "tcp://127.0.0.1:"),
        ("tcp://[::]:", "tcp://[::1]:"),
    ):
        if bind.startswith(everywhere):
            return here + bind.removeprefix(everywhere)
    return bind
