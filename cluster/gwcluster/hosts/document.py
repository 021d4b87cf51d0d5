"""How this host and the others are, as a part of the status document (pure); docs/wire.md describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gwcluster.hosts.snapshot import HostNow, Snapshot


def document(seen: Snapshot, *, lease_s: float, spare_s: float) -> dict[str, Any]:
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
        "hosts": [_host(host) for host in sorted(seen.hosts, key=lambda host: host.entry.name)],
        "free": [] if seen.unreachable_s is not None else sorted(seen.free),  # else nobody could know
        "nats": {
            "connected": seen.connected,
            "server": seen.server,
            "leader": seen.leader,
            "answered_s": seen.answered_s,
            "unreachable_s": seen.unreachable_s,
            "pause_s": _pause_s(seen, spare_s),
            "why": seen.why,
        },
    }


def _host(host: HostNow) -> dict[str, Any]:
    entry = host.entry
    return {
        "name": entry.name,
        "version": entry.version,
        "draining": entry.draining,
        "up_s": entry.up_s + host.seen_s,
        "seen_s": host.seen_s,
        "addresses": {"events": list(entry.events), "requests": list(entry.requests), "http": entry.http},
        "shards": sorted(host.shards),
        "live": sorted(entry.live),
    }


def _pause_s(seen: Snapshot, spare_s: float) -> float | None:
    """Return in how many seconds the first worker here lets go, None while nothing speaks for it."""
    if seen.unreachable_s is None or not seen.leases:
        return None
    return max(0.0, min(seen.leases.values()) - spare_s)
