"""Where a cluster's sockets are (does): what was given, or what its file says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gwcluster.client.host import Host
from gwcluster.client.keys import Curve, own_keys
from gwcluster.client.refused import NoAnswer
from gwcluster.client.search import NatsSearch, Search

Given = str | Sequence[str] | None
"""An address, or one for each host."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where one begins to look for a cluster.

    Attributes:
        hosts: those that are known; none, where `search` has to find them.
        curve: the keys that open their sockets.
        search: finds the hosts of a cluster that has several; None: those that are known tell of others.
        alone: ask these hosts and no others.
    """

    hosts: tuple[Host, ...]
    curve: Curve | None = None
    search: Search | None = None
    alone: bool = False


def find(
    file: str | os.PathLike[str] | None,
    events: Given,
    requests: Given,
    curve: Curve | None = None,
    *,
    key: Path | None = None,
    here: bool = False,
) -> Addresses:
    """Return a cluster's addresses; what is given goes before what the file says.

    The file's token is not read, so it need not be at hand.

    Args:
        events, requests: of one host, or lists of the same length, with each host's at the same place.
        key: file of this program's secret key, if the file says that the cluster asks for one.
        here: of several hosts, the one of this machine alone.

    Raises:
        TypeError: neither a file nor both addresses were given.
        ValueError: one of them is no address, or one list is longer.
        gwcluster.config.ConfigError: the file can't be used; print it.
        KeyFileError, KeyRefused: the cluster asks for keys, and there are none that can be used.
    """
    if events is not None and requests is not None:
        return Addresses(_hosts(events, requests), curve)
    if file is None:
        raise TypeError(
            'connect() needs a file, as in connect("cluster.yaml"), or both events= and requests='
        )
    from gwcluster.config import load  # YAML and pydantic, which a bot without a file doesn't need

    config = load(Path(file), environ=os.environ, client=True)
    if curve is None and config.security.curve is not None:
        curve = own_keys(key, config.security.curve.secret_key_file)
    if config.hosts is not None and not here:
        if events is not None or requests is not None:
            raise TypeError("a cluster of several hosts needs both events= and requests=, or neither")
        return Addresses((), curve, NatsSearch(config.name, config.hosts.login))
    host = _hosts(
        events or _reachable(config.events.bind[0]), requests or _reachable(config.requests.bind[0])
    )
    return Addresses(host, curve, alone=here)


async def known_hosts(addresses: Addresses) -> tuple[Host, ...]:
    """Return the hosts there are now.

    Raises:
        NoAnswer: none can be found; is the cluster running, and NATS?
    """
    if addresses.search is None:
        return addresses.hosts
    hosts = tuple(told.host for told in await addresses.search.found())
    if not hosts:
        raise NoAnswer("no host of the cluster is listed in NATS; is the cluster running?")
    return hosts


def _hosts(events: str | Sequence[str], requests: str | Sequence[str]) -> tuple[Host, ...]:
    publishers = [events] if isinstance(events, str) else list(events)
    desks = [requests] if isinstance(requests, str) else list(requests)
    if len(publishers) != len(desks) or not publishers:
        raise ValueError(
            f"{len(publishers)} addresses of events and {len(desks)} of requests; each host has one of both"
        )
    return tuple(Host(*pair) for pair in zip(publishers, desks, strict=True))


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
