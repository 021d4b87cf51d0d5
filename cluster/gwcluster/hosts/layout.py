"""What all hosts of a cluster agree on (does): the shard count, by whoever came first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client

from gwcluster.errors import quoted
from gwcluster.hosts.errors import HostsError, LayoutError, TakenError
from gwcluster.hosts.kv import Bucket
from gwcluster.log.jetstream import names

KEY: Final = "layout"


@dataclass(frozen=True, slots=True)
class Layout:
    """Attributes: `shards`: how many the bot has; `host`: who said so first."""

    shards: int
    host: str


async def agreed(client: Client, *, cluster: str) -> Layout | None:
    """Return what is agreed; None: nothing yet.

    Raises:
        HostsError: JetStream doesn't answer, or what is there can't be read.
    """
    bucket = Bucket(client, names.bucket(cluster, "state"), ttl_s=None)
    await bucket.make()
    return await _there(bucket)


async def agree(client: Client, *, cluster: str, host: str, shards: int) -> Layout:
    """Return what is agreed, which is this when nothing was.

    Args:
        client, cluster: as for `Leases`.
        host: this host's name.
        shards: how many shards it runs with, 1 or more.

    Raises:
        LayoutError: the hosts run with another number of shards; both are named.
        HostsError: JetStream doesn't answer, or what is there can't be read.
    """
    bucket = Bucket(client, names.bucket(cluster, "state"), ttl_s=None)
    await bucket.make()
    value = json.dumps({"v": 1, "shards": shards, "host": host}).encode()
    try:
        await bucket.create(KEY, value)
    except TakenError:
        there = await _there(bucket)
        if there is None:
            raise HostsError(
                f"bucket {bucket.name!r}, key {KEY!r}: it was removed just now; start again"
            ) from None
        if there.shards != shards:
            raise LayoutError(
                f"host {host!r} runs with {shards} shards, and host {there.host!r} began cluster "
                f"{cluster!r} with {there.shards}: give all hosts the same `shards.count`. "
                f"To change it stop all of them, and delete the key {KEY!r} of the bucket {bucket.name!r}"
            ) from None
        return there
    return Layout(shards, host)


async def _there(bucket: Bucket) -> Layout | None:
    entry = await bucket.get(KEY)
    if entry is None or entry.value is None:
        return None
    try:
        found = json.loads(entry.value)
        shards, host = found["shards"], found["host"]
        if type(shards) is not int or shards < 1 or not isinstance(host, str):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise HostsError(
            f"bucket {bucket.name!r}, key {KEY!r} makes no sense: {quoted(entry.value)}"
        ) from None
    return Layout(shards, host)
