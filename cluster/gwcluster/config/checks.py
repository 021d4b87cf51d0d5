"""What several settings must be together (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from gwcluster.config import kinds
from gwcluster.config.endpoints import UNIX_PATH_BYTES, Address, http_address, zmq_address
from gwcluster.config.model import ClusterFile
from gwcluster.config.problems import Path, dotted

_HTTP: Path = ("http", "bind")

FANIN_SOCKET = FilePath("run", "fanin")
"""The longest of the sockets that a running cluster has in its state folder."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Settings that are good alone and wrong together; the message is told at the first of them."""

    at: tuple[Path, ...]
    message: str


def clashes(file: ClusterFile) -> Iterator[Clash]:
    """Yield what contradicts itself in a file whose single settings are all good."""
    yield from _shards(file)
    yield from _binds(file)
    for key in kinds.RESERVED_IDENTIFY:
        if key in file.gateway.identify:
            yield Clash((("gateway", "identify", key),), "gwcluster sets this field itself; remove it here")
    include = file.events.include
    if include is not None and include <= file.events.exclude:
        yield Clash(
            (("events", "exclude"), ("events", "include")),
            "drops every event that events.include keeps; remove names from one of them",
        )


def socket_clash(state: FilePath) -> Iterator[Clash]:
    """Yield what is wrong if the state folder's path is too long for the sockets in it."""
    length = len(str(state / FANIN_SOCKET).encode(errors="surrogateescape"))
    if length > UNIX_PATH_BYTES:
        yield Clash(
            (("state",), ("name",)),
            f"the path of the socket {FANIN_SOCKET} in this folder would have {length} bytes, and at most "
            f"{UNIX_PATH_BYTES} are possible; write a shorter folder, such as /var/lib/gwcluster",
        )


def _shards(file: ClusterFile) -> Iterator[Clash]:
    count, ids = file.shards.count, file.shards.ids
    if count is None or ids is None or (highest := max(ids)) < count:
        return
    yield Clash(
        (("shards", "ids"), ("shards", "count")),
        f"there is no shard {highest}, as shards.count is {count}; write ids from 0 to {count - 1}",
    )


def _addresses(file: ClusterFile) -> Iterator[tuple[Path, Address]]:
    for section, binds in (("events", file.events.bind), ("requests", file.requests.bind)):
        for index, bind in enumerate(binds):
            yield (section, "bind", index) if len(binds) > 1 else (section, "bind"), zmq_address(bind)
    if file.http.bind is not None:
        yield _HTTP, http_address(file.http.bind)


def _binds(file: ClusterFile) -> Iterator[Clash]:
    before: list[tuple[Path, Address]] = []
    for path, address in _addresses(file):
        if path != _HTTP and not address.local and file.security.curve is None:  # HTTP guards itself
            yield Clash(
                (path, ("security", "curve")),
                "this address can be reached from other machines; bind 127.0.0.1, or set security.curve",
            )
        for other_path, other in before:
            if address.clashes(other):
                what = f"port {address.port}" if address.port else "this path"
                yield Clash((path, other_path), f"{what} is taken by {dotted(other_path)}; write another one")
        before.append((path, address))
