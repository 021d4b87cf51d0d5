"""Names of the buckets of a cluster (pure)."""

from __future__ import annotations


def leases_bucket(cluster: str) -> str:
    """Who runs which shard; a key is a shard's id."""
    return f"gwcluster-{cluster}-leases"


def hosts_bucket(cluster: str) -> str:
    """Which hosts there are; a key is a host's name."""
    return f"gwcluster-{cluster}-hosts"


def permits_bucket(cluster: str) -> str:
    """Who may identify on which key (shard % max_concurrency) now."""
    return f"gwcluster-{cluster}-permits"


def state_bucket(cluster: str) -> str:
    """What outlives everybody: `layout`, `ledger`, and what the logs keep."""
    return f"gwcluster-{cluster}-state"
