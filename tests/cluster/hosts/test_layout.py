from __future__ import annotations

import asyncio

import pytest

from gwcluster.hosts.errors import HostsError, LayoutError
from gwcluster.hosts.kv import Bucket
from gwcluster.hosts.layout import Layout, agree, agreed
from support.nats_rig import connected
from support.nats_servers import NatsServers


def test_who_comes_first_says_how_many_shards_there_are(nats: NatsServers, cluster: str) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client:
            assert await agreed(client, cluster=cluster) is None
            came = [agree(client, cluster=cluster, host=name, shards=8) for name in "abc"]
            first, *others = await asyncio.gather(*came)
            assert others == [first, first]
            assert await agreed(client, cluster=cluster) == first
            assert first in [Layout(8, name) for name in "abc"]

    asyncio.run(run())


def test_another_number_is_refused_with_both_and_with_both_hosts(nats: NatsServers, cluster: str) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client:
            await agree(client, cluster=cluster, host="a", shards=8)
            with pytest.raises(LayoutError, match=r"host 'b' runs with 16 shards, and host 'a' .* with 8"):
                await agree(client, cluster=cluster, host="b", shards=16)

    asyncio.run(run())


@pytest.mark.parametrize(
    "value", [b"", b"[]", b'{"shards": 0, "host": "a"}', b'{"shards": true, "host": "a"}', b'{"shards": 1}']
)
def test_what_makes_no_sense_is_named(nats: NatsServers, cluster: str, value: bytes) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client:
            await agreed(client, cluster=cluster)
            await Bucket(client, f"gwcluster-{cluster}-state", ttl_s=None).create("layout", value)
            with pytest.raises(HostsError, match="key 'layout' makes no sense"):
                await agree(client, cluster=cluster, host="b", shards=16)

    asyncio.run(run())
