"""One of the hosts that share a cluster's shards (pure): where its sockets are, and which it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gwcluster.errors import WireError, quoted

_ADDRESS: Final = re.compile(r"tcp://[^\s/]+:[0-9]{1,5}|ipc://.{1,100}", re.DOTALL)
"""Linux's path of a socket has at most 107 bytes."""

_MAX_SHARDS: Final = 1 << 16
MAX_HOSTS: Final = 256
"""Of one cluster; more aren't looked at."""


@dataclass(frozen=True, slots=True)
class Host:
    """ZeroMQ addresses of one host: its PUB socket and its ROUTER socket.

    Raises:
        ValueError: nobody can connect to one of them.
    """

    events: str
    requests: str

    def __post_init__(self) -> None:
        for key in ("events", "requests"):
            address = getattr(self, key)
            if not isinstance(address, str) or _ADDRESS.fullmatch(address) is None:
                raise ValueError(
                    f"{key} is {quoted(address)}; it should be an address such as tcp://127.0.0.1:5570"
                )


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a host: in its entry of the bucket, or in a status.

    Attributes:
        shards: ids of those that it runs.
    """

    host: Host
    shards: frozenset[int]


def told_by(entry: object) -> Told:
    """Return what an entry says.

    Raises:
        WireError: it isn't the entry of a host that one can connect with.
    """
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    shards = fields.get("shards", [])
    whole = isinstance(shards, list) and len(shards) <= _MAX_SHARDS
    if not whole or not all(type(shard) is int and shard >= 0 for shard in shards):
        raise WireError(f"the entry of a host without its shards: {quoted(entry)}")
    addresses = fields.get("addresses", fields)
    if not isinstance(addresses, dict):
        raise WireError(f"the entry of a host without its addresses: {quoted(entry)}")
    try:
        host = Host(_chosen(addresses.get("events")), _chosen(addresses.get("requests")))
    except ValueError as error:
        raise WireError(f"the entry of a host whose {error}") from error
    return Told(host, frozenset(shards))


def hosts_in(status: Mapping[str, Any]) -> tuple[list[Told], list[WireError]]:
    """Return the hosts that a status tells of, and what is wrong with others; of a single host, none."""
    hosts = status.get("hosts")
    entries = hosts.get("hosts") if isinstance(hosts, dict) else None
    told: list[Told] = []
    errors: list[WireError] = []
    for entry in entries[:MAX_HOSTS] if isinstance(entries, list) else []:
        try:
            told.append(told_by(entry))
        except WireError as error:
            errors.append(error)
    return told, errors


def _chosen(addresses: object) -> Any:
    """Return the address that others than that host can connect to, too, where there is one."""
    if not isinstance(addresses, list) or not addresses:
        return None
    return next((each for each in addresses if str(each).startswith("tcp://")), addresses[0])
