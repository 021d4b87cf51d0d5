"""What `hosts` needs of the other settings, and where other machines reach this one (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from gwcluster.config.checks import Clash
from gwcluster.config.endpoints import Address, http_address, is_loopback_nats, zmq_address
from gwcluster.config.model import ClusterFile, Hosts
from gwcluster.config.problems import Path

_WAYS: Final = ("credentials_file", "user", "token_file", "nkey_seed_file")
"""Each is a way to log in of its own; `password_file` belongs to `user`."""

_PORTS: Final = {"events": 5570, "requests": 5571}


def host_clashes(file: ClusterFile) -> Iterator[Clash]:
    """Yield what contradicts `hosts`, or itself within it; nothing if there is one host."""
    hosts = file.hosts
    if hosts is None:
        return
    if "." in file.name:
        yield Clash(
            (("name",), ("hosts",)),
            "NATS takes no dot in names, and with hosts this name is part of some; write - or _ instead",
        )
    yield from _login(hosts)
    yield from _tls(hosts)


def unreachable(file: ClusterFile) -> Iterator[Clash]:
    """Yield addresses that other machines are told of and can't connect to."""
    for section in ("events", "requests"):
        if file.hosts is not None and isinstance(found := announced(file, section), Clash):
            yield found


def announced(file: ClusterFile, section: Literal["events", "requests"]) -> str | Clash:
    """Return what programs connect to, on this machine and others, or why nobody knows.

    A loopback address is taken only where the file says so, or where NATS is on this machine too: on any
    other machine it would lead to another host's socket.
    """
    assert file.hosts is not None, "one host announces nothing"
    if (given := getattr(file.hosts.addresses, section)) is not None:
        return str(given)
    binds: tuple[str, ...] = getattr(file, section).bind
    found = {bind: zmq_address(bind) for bind in binds}
    reached = [bind for bind, address in found.items() if not address.local and not address.everywhere]
    if reached:
        return reached[0]
    at: tuple[Path, ...] = (("hosts", "addresses", section), (section, "bind"))
    port = next((address.port for address in found.values() if address.port), _PORTS[section])
    key = f"hosts.addresses.{section}"
    if any(address.everywhere for address in found.values()):
        return Clash(
            at, f"write {key}: tcp://HOST:{port}, by which others reach this machine: it binds all addresses"
        )
    if all(map(is_loopback_nats, file.hosts.nats)):
        return binds[0]
    told = f"other machines can't connect to {binds[0]}; bind an address that they reach"
    return Clash(at, f"{told}, or write {key}: {binds[0]} if only programs on this machine subscribe")


def announced_http(file: ClusterFile) -> str | None:
    """Return where others find this host's HTTP; None: nowhere."""
    assert file.hosts is not None, "one host announces nothing"
    if file.hosts.addresses.http is not None or file.http.bind is None:
        return file.hosts.addresses.http
    bind = http_address(file.http.bind)
    if bind.everywhere:
        return _beside(announced(file, "events"), bind)
    return None if bind.local and not all(map(is_loopback_nats, file.hosts.nats)) else file.http.bind


def _beside(events: str | Clash, bind: Address) -> str | None:
    if isinstance(events, Clash) or (host := events.removeprefix("tcp://")) == events:
        return None
    return f"{host.rpartition(':')[0]}:{bind.port}"


def _login(hosts: Hosts) -> Iterator[Clash]:
    ways = [way for way in _WAYS if getattr(hosts, way) is not None]
    for other in ways[1:]:
        yield Clash(
            (("hosts", other), ("hosts", ways[0])), f"there is {ways[0]} as well; keep one way to log in"
        )
    if hosts.user is not None and hosts.password_file is None:
        yield Clash(
            (("hosts", "user"),), "needs password_file beside it; write the path of the file that holds it"
        )
    if hosts.password_file is not None and hosts.user is None:
        yield Clash(
            (("hosts", "password_file"),), "needs user beside it; write the name that the password is for"
        )


def _tls(hosts: Hosts) -> Iterator[Clash]:
    secure = [url.startswith("tls://") for url in hosts.nats]
    if any(secure) and not all(secure):
        yield Clash(
            (("hosts", "nats"),),
            "some servers have TLS and some have none; write tls:// for all, or for none",
        )
    if hosts.tls is None:
        return
    if not any(secure):
        yield Clash(
            (("hosts", "tls"), ("hosts", "nats")),
            "no server of hosts.nats is spoken to by TLS; write tls://HOST:4222",
        )
    for one, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
        if getattr(hosts.tls, one) is not None and getattr(hosts.tls, other) is None:
            yield Clash((("hosts", "tls", one),), f"needs {other} beside it; write the path of that file too")
