from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

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


class Subscription:
    async def unsubscribe(self) -> None:
        pass


class FakeServer:
    """Bucket, client and server of a watch, whose consumer says what a test lets it."""

    name = "kept"

    def __init__(self) -> None:
        self.client = self
        self.stats = {"reconnects": 0}
        self.consumers: list[Callable[[Msg], Awaitable[None]]] = []

    def new_inbox(self) -> str:
        return "inbox"

    async def subscribe(self, inbox: str, *, cb: Callable[[Msg], Awaitable[None]]) -> Subscription:
        self.consumers.append(cb)
        return Subscription()

    async def consume(self, deliver_to: str, key: str, *, heartbeat_s: float) -> dict[str, Any]:
        return {"num_pending": 0}

    async def says(self, number: int, value: bytes) -> None:
        reply = f"$JS.ACK.KV_kept.c.1.{number + 100}.{number}.1790000000000000000.0"
        await self.consumers[-1](Msg(self, subject="$KV.kept.a", reply=reply, data=value))  # type: ignore[arg-type]

    async def beats(self, last: int) -> None:
        headers = {"Status": "100", "Nats-Last-Consumer": str(last)}
        await self.consumers[-1](Msg(self, headers=headers))  # type: ignore[arg-type]


def test_a_last_message_that_is_missing_is_seen_by_the_next_heartbeat() -> None:
    async def run() -> None:
        server = FakeServer()
        async with watching(server) as known:  # type: ignore[arg-type]
            await until(lambda: known.lists == 1)
            await server.says(1, b"1")
            await server.beats(1)
            await until(lambda: known.values == {"a": b"1"})
            await server.beats(2)
            await until(lambda: known.lists == 2)
            assert Unheard("bucket 'kept' is listed anew: 1 messages are missing") in known.seen

    asyncio.run(run())


def test_a_message_that_is_missing_is_seen_by_the_next_one() -> None:
    async def run() -> None:
        server = FakeServer()
        async with watching(server) as known:  # type: ignore[arg-type]
            await until(lambda: known.lists == 1)
            await server.says(2, b"2")
            await until(lambda: known.lists == 2)
            assert known.values == {}

    asyncio.run(run())


def test_after_a_reconnect_nothing_is_taken_to_have_been_heard() -> None:
    async def run() -> None:
        server = FakeServer()
        async with watching(server) as known:  # type: ignore[arg-type]
            await until(lambda: known.lists == 1)
            server.stats["reconnects"] += 1
            await server.says(1, b"1")
            await until(lambda: known.lists == 2)
            assert not any(isinstance(seen, Changed) for seen in known.seen)

    asyncio.run(run())
