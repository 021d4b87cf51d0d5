"""How this host and the others are, as a part of the status document (pure); docs/wire.md describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gwcluster.hosts.leases import HostNow, Snapshot


def hosts_part(seen: Snapshot, *, lease_s: float, spare_s: float) -> dict[str, Any]:
    """Return `hosts` of the status document.

    Args:
        seen: what this host knows.
        lease_s: how long a lease lasts.
        spare_s: so long before the end of its lease a shard's worker has to be gone.
    """
    return {
        "me": seen.me,
        "draining": seen.draining,
        "lease_s": lease_s,
        "leases": {str(shard): max(0.0, left_s) for shard, left_s in sorted(seen.leases.items())},
        "hosts": [_host(host) for host in sorted(seen.hosts, key=lambda host: host.name)],
        "free": sorted(seen.free),
        "nats": {
            "connected": seen.connected,
            "server": None if seen.server is None else without_credentials(seen.server),
            "answered_s": seen.answered_s,
            "unreachable_s": seen.unreachable_s,
            "pause_s": _pause_s(seen, spare_s),
            "why": seen.why,
        },
    }


def without_credentials(server: str) -> str:
    """Return the address of a server without the name and password that may be in it."""
    scheme, separator, rest = server.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _host(host: HostNow) -> dict[str, Any]:
    return {
        "name": host.name,
        "version": host.version,
        "draining": host.draining,
        "up_s": host.up_s,
        "seen_s": host.seen_s,
        "addresses": host.addresses,
        "shards": sorted(host.shards),
    }


def _pause_s(seen: Snapshot, spare_s: float) -> float | None:
    """Return in how many seconds the first worker here lets go, None while nothing speaks for it."""
    if seen.unreachable_s is None or not seen.leases:
        return None
    return max(0.0, min(seen.leases.values()) - spare_s)
