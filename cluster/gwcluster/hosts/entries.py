"""What leases and hosts' entries look like in their buckets: JSON (pure).

An entry of a host is also what subscribers find its sockets by, in any language.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from gwcluster.errors import quoted
from gwcluster.hosts.errors import HostsError

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """What a lease in the bucket says: who holds it, by which claim, and which request wrote it.

    Attributes:
        host, incarnation: who.
        claim: counts the claims of an incarnation.
        number: counts the requests of a claim.
    """

    host: str
    incarnation: str
    claim: int
    number: int


@dataclass(frozen=True, slots=True)
class HostEntry:
    """What a host says of itself.

    Attributes:
        version: of gwcluster.
        started_at: Unix seconds, for people.
        up_s: for how long it had been there when it wrote this.
        live: shards of its own that were live then.
        shards: whose leases it held then.
        events, requests: addresses of its ZeroMQ sockets.
        http: host:port, None: it serves none.
    """

    name: str
    incarnation: str
    version: str
    started_at: float
    up_s: float
    draining: bool = False
    live: tuple[int, ...] = ()
    shards: tuple[int, ...] = ()
    events: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    http: str | None = None


_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str | None": (str, type(None)),
}
_ITEMS: Final = {"tuple[int, ...]": int, "tuple[str, ...]": str}


def encode(value: Mark | HostEntry) -> bytes:
    """Return it as JSON."""
    return json.dumps({"v": VERSION, **asdict(value)}, separators=(",", ":")).encode()


def mark_in(value: bytes, key: str) -> Mark:
    """Return what `encode` made of a lease. Raises HostsError, which names the key."""
    return Mark(**_fields(Mark, value, f"the lease {key!r}"))


def host_in(value: bytes, key: str) -> HostEntry:
    """Return what `encode` made of a host's entry. Raises HostsError, which names the key."""
    return HostEntry(**_fields(HostEntry, value, f"the entry of host {key!r}"))


def _fields(kind: type[Mark] | type[HostEntry], value: bytes, about: str) -> dict[str, Any]:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        raise HostsError(f"{about} isn't JSON: {quoted(value)}") from None
    if not isinstance(found, dict) or not isinstance(version := found.get("v"), int):
        raise HostsError(f"{about} has no version: {quoted(value)}")
    if version > VERSION:
        raise HostsError(
            f"{about} has version {version}, and this gwcluster knows {VERSION}: upgrade this one"
        )
    taken: dict[str, Any] = {}
    for each in fields(kind):
        if each.name not in found:
            continue
        item = found[each.name]
        if (inner := _ITEMS.get(str(each.type))) is not None:
            fits = isinstance(item, list) and all(type(one) is inner for one in item)
            item = tuple(item) if fits else item
        else:
            fits = type(item) in _KINDS[str(each.type)]
        if not fits:
            raise HostsError(f"{about}: {each.name} can't be {quoted(item)}")
        taken[each.name] = item
    try:
        kind(**taken)
    except TypeError:
        raise HostsError(f"{about} lacks a field: {quoted(value)}") from None
    return taken
