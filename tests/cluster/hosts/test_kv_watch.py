from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from gwcluster.hosts.kv import Bucket
from gwcluster.hosts.kv_watch import Changed, Listed, Seen, Unheard, watch
from support.nats_rig import connected, until
from support.nats_servers import NatsServers, nats_servers


class Known:
    """Folds what a watch says."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.values: dict[str, bytes] = {}
        self.ages: dict[str, float] = {}
        self.lists = 0

    def hear(self, seen: Seen) -> None:
        self.seen.append(seen)
        match seen:
            case Listed(entries):
                self.lists += 1
                self.values = {entry.key: entry.value for entry, _ in entries if entry.value is not None}
                self.ages = {entry.key: age_s for entry, age_s in entries}
            case Changed(entry) if entry.value is None:
                self.values.pop(entry.key, None)
            case Changed(entry):
                assert entry.value is not None
                self.values[entry.key] = entry.value
            case _:
                pass


@asynccontextmanager
async def watching(bucket: Bucket, *, silence_s: float = 3.5) -> AsyncIterator[Known]:
    known = Known()
    task = asyncio.create_task(watch(bucket, known.hear, silence_s=silence_s))
    try:
        yield known
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def made(client: Client, name: str) -> Bucket:
    bucket = Bucket(client, name, ttl_s=None, within_s=2.0)
    await bucket.make()
    return bucket


def test_what_is_there_is_listed_and_what_happens_is_told(nats: NatsServers, cluster: str) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client:
            bucket = await made(client, cluster)
            await bucket.create("a", b"1")
            gone = await bucket.create("gone", b"")
            await bucket.delete("gone", gone)
            await asyncio.sleep(0.3)
            async with watching(bucket) as known:
                await until(lambda: known.lists == 1)
                assert known.values == {"a": b"1"}
                assert 0.3 <= known.ages["a"] < 3.0
                revision = await bucket.create("b", b"2")
                await until(lambda: known.values == {"a": b"1", "b": b"2"})
                await bucket.delete("b", revision)
                await until(lambda: known.values == {"a": b"1"})
                assert known.lists == 1

    asyncio.run(run())


def test_an_empty_bucket_is_listed_too(nats: NatsServers, cluster: str) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client, watching(await made(client, cluster)) as known:
            await until(lambda: known.lists == 1)
            assert known.values == {}

    asyncio.run(run())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_after_a_server_was_away_everything_is_listed_again(
    tmp_path_factory: pytest.TempPathFactory, cluster: str, how: signal.Signals
) -> None:
    async def run(servers: NatsServers) -> None:
        async with connected(servers.urls) as client:
            bucket = await made(client, cluster)
            revision = await bucket.create("a", b"1")
            async with watching(bucket, silence_s=1.5) as known:
                await until(lambda: known.values == {"a": b"1"})
                servers.kill(0, how)
                await until(lambda: isinstance(known.seen[-1], Unheard))
                if how == signal.SIGKILL:
                    servers.start_one(0)
                else:
                    servers.kill(0, signal.SIGCONT)
                await asyncio.to_thread(servers.wait_until_ready)
                await until(lambda: known.lists >= 2)
                assert known.values == {"a": b"1"}
                await until(lambda: client.is_connected)
                await bucket.update("a", b"2", revision)
                await until(lambda: known.values == {"a": b"2"})

    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:
        asyncio.run(run(servers))


def test_a_consumer_that_vanishes_is_made_again(nats: NatsServers, cluster: str) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client:
            bucket = await made(client, cluster)
            async with watching(bucket, silence_s=1.5) as known:
                await until(lambda: known.lists == 1)
                names = await client.request(f"$JS.API.CONSUMER.NAMES.KV_{cluster}", b"", timeout=2)
                for name in json.loads(names.data)["consumers"]:
                    await client.request(f"$JS.API.CONSUMER.DELETE.KV_{cluster}.{name}", b"", timeout=2)
                await bucket.create("a", b"1")
                await until(lambda: known.values == {"a": b"1"})
                assert known.lists == 2

    asyncio.run(run())
