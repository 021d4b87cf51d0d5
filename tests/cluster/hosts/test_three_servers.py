"""Against three servers, of which one dies: leases are renewed on, or lost in time, and never held twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from gwcluster.hosts.kv import Bucket
from support.hosts_rig import World, host
from support.nats_rig import connected, until
from support.nats_servers import NatsServers, nats_servers

SHARDS = range(6)
LEASE_S = 15.0


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    with nats_servers(tmp_path_factory.mktemp("nats"), 3) as servers:
        yield servers


async def config_of(bucket: Bucket) -> dict[str, object]:
    said = await bucket.client.request(f"$JS.API.STREAM.INFO.{bucket.stream}", b"", timeout=5)
    found: dict[str, object] = json.loads(said.data)["config"]
    return found


def test_a_bucket_is_on_three_servers(three: NatsServers, cluster: str) -> None:
    async def run() -> None:
        async with connected(three.urls) as client:
            bucket = Bucket(client, cluster, ttl_s=30.0)
            await bucket.make()
            assert (await config_of(bucket))["num_replicas"] == 3

    asyncio.run(run())


def test_a_bucket_that_was_made_on_one_server_is_brought_to_three(three: NatsServers, cluster: str) -> None:
    async def run() -> None:
        async with connected(three.urls) as client:
            wanted = {"name": f"KV_{cluster}", "subjects": [f"$KV.{cluster}.>"], "num_replicas": 1}
            await client.request(
                f"$JS.API.STREAM.CREATE.KV_{cluster}", json.dumps(wanted).encode(), timeout=5
            )
            bucket = Bucket(client, cluster, ttl_s=30.0)
            await bucket.make()
            config = await config_of(bucket)
            assert (config["num_replicas"], config["max_age"]) == (3, 30_000_000_000)

    asyncio.run(run())


def test_after_the_death_of_the_leader_every_lease_is_renewed_and_none_held_twice(
    three: NatsServers, cluster: str
) -> None:
    async def run() -> None:
        world = World()
        async with (
            host(world, three.urls, cluster=cluster, name="a", shards=SHARDS, lease_s=LEASE_S) as a,
            host(world, three.urls, cluster=cluster, name="b", shards=SHARDS, lease_s=LEASE_S) as b,
        ):
            await until(lambda: len(world.runs) == 6, within_s=40.0)
            leader = three.leader()
            assert leader is not None
            three.kill(leader)
            ends = {
                shard: until_ for one in (a, b) for shard in one.shards if (until_ := one.leases.until(shard))
            }
            await until(
                lambda: all(
                    (one.leases.until(shard) or 0.0) > ends[shard] + LEASE_S / 2
                    for one in (a, b)
                    for shard in one.shards
                ),
                within_s=40.0,
            )
            assert len(world.runs) == 6
            three.start_one(leader)
            await asyncio.to_thread(three.wait_until_ready)

    asyncio.run(run())
