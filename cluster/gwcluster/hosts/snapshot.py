"""How the hosts are, for status and metrics (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from gwcluster.hosts.entries import HostEntry


@dataclass(frozen=True, slots=True)
class HostNow:
    """One host in a snapshot.

    Attributes:
        entry: what it last said.
        seen_s: seconds since then.
        shards: whose leases it holds, as we see it.
    """

    entry: HostEntry
    seen_s: float
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the hosts are, for status, as far as this one knows.

    Attributes:
        me: this host's name.
        draining: whether it gives up everything.
        leases: seconds that each lease of ours still lasts.
        hosts: all hosts, this one included when it is heard of.
        free: shards that nobody holds.
        connected: whether the connection to NATS stands.
        server: to which server, None: to none.
        answered_s: seconds since JetStream last answered us; None: never yet.
        unreachable_s: seconds since when it doesn't; None: it does.
        leader: whether somebody leads the bucket of the leases; None: unknown.
        why: the last failure, None if there is none now.
    """

    me: str
    draining: bool
    leases: dict[int, float]
    hosts: tuple[HostNow, ...]
    free: tuple[int, ...]
    connected: bool
    server: str | None
    answered_s: float | None
    unreachable_s: float | None
    leader: bool | None
    why: str | None
