"""When each waiting shard will about get its permit (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import NamedTuple


class Place(NamedTuple):
    """A waiting shard: its key, and the bucket by which it has to wait its turn (None: it hasn't to)."""

    shard: int
    key: int
    bucket: int | None


def forecast(
    queue: Iterable[Place],
    *,
    opens_at: Callable[[int], float],
    pace_s: float,
    now: float,
    spendable: int,
    reset_at: float,
) -> dict[int, float]:
    """Return the moment of each shard's permit if all goes well, earliest first.

    Args:
        queue: waiting shards in order; those of one bucket stand together.
        opens_at: gives the moment at which a key opens.
        pace_s: seconds from one IDENTIFY of a key to the next.
        now: monotonic seconds.
        spendable: so many permits may leave before Discord's reset at `reset_at`.
    """
    free: dict[int, float] = {}
    at: dict[int, float] = {}
    bucket_from = bucket_sent = now
    for bucket, places in groupby(queue, key=lambda place: place.bucket):
        for shard, key, _ in places:
            free_at = free.get(key, max(now, opens_at(key)))
            at[shard] = free_at if bucket is None else max(free_at, bucket_from)
            bucket_sent = max(bucket_sent, at[shard])
            free[key] = at[shard] + pace_s
        bucket_from = bucket_sent
    at = dict(sorted(at.items(), key=lambda item: item[1]))
    for shard in list(at)[spendable:]:
        at[shard] = max(at[shard], reset_at)
    return at
