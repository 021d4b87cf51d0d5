from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from gwcluster.hosts.errors import HostsError, KvError, TakenError, UnansweredError
from gwcluster.hosts.kv import Bucket, check_version, heedful
from gwcluster.log.jetstream import names
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.stream import keep_state
from gwcluster.nats_login import NatsLogin
from support.nats_rig import connected, until
from support.nats_servers import NatsServers, nats_servers


def with_bucket(
    nats: NatsServers, name: str, body: Callable[[Bucket], Awaitable[None]], *, ttl_s: float | None = None
) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client:
            bucket = Bucket(client, name, ttl_s=ttl_s, within_s=2.0)
            await bucket.make()
            await body(bucket)

    asyncio.run(run())


def test_only_the_first_create_succeeds_until_the_key_is_deleted(nats: NatsServers, cluster: str) -> None:
    async def body(bucket: Bucket) -> None:
        first = await bucket.create("3", b"one")
        with pytest.raises(TakenError, match=f"bucket '{cluster}', key '3'"):
            await bucket.create("3", b"two")
        await bucket.delete("3", first)
        second = await bucket.create("3", b"two")
        assert second > first
        entry = await bucket.get("3")
        assert entry is not None
        assert (entry.value, entry.revision) == (b"two", second)

    with_bucket(nats, cluster, body)


def test_only_the_revision_that_is_there_is_written_over_or_deleted(nats: NatsServers, cluster: str) -> None:
    async def body(bucket: Bucket) -> None:
        first = await bucket.create("3", b"one")
        second = await bucket.update("3", b"two", first)
        with pytest.raises(TakenError):
            await bucket.update("3", b"three", first)
        with pytest.raises(TakenError):
            await bucket.delete("3", first)
        entry = await bucket.get("3")
        assert entry is not None
        assert (entry.value, entry.revision) == (b"two", second)
        await bucket.delete("3", second)
        left = await bucket.get("3")
        assert left is not None
        assert left.value is None
        with pytest.raises(TakenError):
            await bucket.update("3", b"four", second)
        assert await bucket.get("4") is None

    with_bucket(nats, cluster, body)


def test_whoever_makes_the_bucket_of_states_makes_the_same_one(nats: NatsServers, cluster: str) -> None:
    # A coordinator for ledger and layout, a worker for its session: neither may undo what the other did.
    async def run() -> None:
        link = await Link.connect(NatsLogin(tuple(nats.urls)), name="test")
        try:
            for name, host_first in ((cluster, True), (f"{cluster}-2", False)):
                bucket = Bucket(link.client, names.bucket(name, "state"), ttl_s=None)
                stream = names.bucket_stream(name, "state")
                makers: list[Callable[[], Awaitable[None]]] = [bucket.make, partial(keep_state, link, name)]
                made = []
                for make in makers if host_first else makers[::-1]:
                    await make()
                    made.append((await link.api(f"STREAM.INFO.{stream}"))["config"])
                assert made[0] == made[1]
        finally:
            await link.close()

    asyncio.run(run())


def test_what_is_renewed_stays_and_what_is_not_ends(nats: NatsServers, cluster: str) -> None:
    async def body(bucket: Bucket) -> None:
        kept = await bucket.create("kept", b"")
        await bucket.create("left", b"")
        begun = time.monotonic()
        gone_at = None
        while time.monotonic() < begun + 4.0:
            kept = await bucket.update("kept", b"", kept)
            if gone_at is None and await bucket.get("left") is None:
                gone_at = time.monotonic()
            await asyncio.sleep(0.2)
        assert gone_at is not None
        assert gone_at - begun >= 1.0
        assert await bucket.create("left", b"again") > kept - 1

    with_bucket(nats, cluster, body, ttl_s=1.0)


def test_of_many_that_wait_for_a_keys_end_one_gets_it(nats: NatsServers, cluster: str) -> None:
    async def body(bucket: Bucket) -> None:
        await bucket.create("0", b"")
        won = 0
        deadline = time.monotonic() + 5.0

        async def wait() -> None:
            nonlocal won
            while not won:
                assert time.monotonic() < deadline
                try:
                    await bucket.create("0", b"")
                except TakenError:
                    continue
                won += 1

        await asyncio.gather(*[wait() for _ in range(8)])
        assert won == 1

    with_bucket(nats, cluster, body, ttl_s=1.0)


def test_a_bucket_of_other_settings_is_brought_up_to_date(nats: NatsServers, cluster: str) -> None:
    async def body(bucket: Bucket) -> None:
        await bucket.create("0", b"kept")
        newer = Bucket(bucket.client, cluster, ttl_s=60.0)
        await newer.make()
        said = await bucket.client.request(f"$JS.API.STREAM.INFO.KV_{cluster}", b"", timeout=2)
        assert json.loads(said.data)["config"]["max_age"] == 60_000_000_000
        entry = await newer.get("0")
        assert entry is not None
        assert entry.value == b"kept"

    with_bucket(nats, cluster, body, ttl_s=30.0)


def test_a_bucket_has_no_ttl_of_messages(nats: NatsServers, cluster: str) -> None:
    # an update would drop it, and the lease would never end
    async def body(bucket: Bucket) -> None:
        said = await bucket.client.request(f"$JS.API.STREAM.INFO.KV_{cluster}", b"", timeout=2)
        config = json.loads(said.data)["config"]
        assert not config.get("allow_msg_ttl")
        assert config["max_msgs_per_subject"] == 1

    with_bucket(nats, cluster, body, ttl_s=30.0)


def test_a_bucket_that_is_not_there_is_an_error_that_names_it(nats: NatsServers, cluster: str) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client:
            bucket = Bucket(client, cluster, ttl_s=None, within_s=0.5)
            for asked in (bucket.get("7"), bucket.create("7", b""), bucket.update("7", b"", 1)):
                with pytest.raises(KvError, match=f"bucket '{cluster}', key '7'"):
                    await asked

    asyncio.run(run())


def test_while_a_server_hangs_nobody_knows_and_without_a_connection_nothing_is_kept_for_later(
    tmp_path_factory: pytest.TempPathFactory, cluster: str
) -> None:
    async def run(servers: NatsServers) -> None:
        async with connected(servers.urls) as client:
            bucket = Bucket(client, cluster, ttl_s=None, within_s=0.3)
            await bucket.make()
            revision = await bucket.create("0", b"one")
            servers.kill(0, signal.SIGSTOP)
            with pytest.raises(UnansweredError, match=r"key '0': no answer within 0\.3 s"):
                await bucket.update("0", b"two", revision)
            servers.kill(0, signal.SIGKILL)
            await until(lambda: not client.is_connected)
            with pytest.raises(UnansweredError, match="no connection"):
                await bucket.create("1", b"never")
            servers.start_one(0)
            servers.wait_until_ready()
            await until(lambda: client.is_connected)
            await client.flush()
            assert await bucket.get("1") is None

    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:
        asyncio.run(run(servers))


class OldServer:
    class connected_server_version:  # noqa: N801
        major, minor = 2, 10


def test_a_server_that_is_too_old_is_named() -> None:
    with pytest.raises(HostsError, match=r"is 2\.10: several hosts need 2\.11"):
        check_version(OldServer())  # type: ignore[arg-type]


def test_a_cancellation_that_the_client_swallows_is_raised_all_the_same() -> None:
    async def swallows() -> str:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            return "gone on"
        return "waited"

    async def run() -> None:
        task = asyncio.create_task(heedful(swallows()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await heedful(asyncio.sleep(0, "done")) == "done"

    asyncio.run(run())
