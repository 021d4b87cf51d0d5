from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from gwcluster.hosts.entries import Mark, encode
from gwcluster.hosts.errors import HostsError
from gwcluster.hosts.kv import Bucket
from gwcluster.hosts.told import Claimed, GiveUp, Lost
from support.hosts_rig import HostRig, World, host
from support.nats_rig import connected, until
from support.nats_servers import NatsServers, nats_servers

SHARDS = range(7)
LEASE_S = 2.0


def alone(nats: NatsServers, cluster: str, body: Callable[[World, HostRig], Awaitable[None]]) -> None:
    """Let a first host have all shards, and then the body go on."""

    async def run() -> None:
        world = World()
        async with another(world, nats, cluster, "a") as first:
            await until(lambda: len(first.shards) == 7)
            await body(world, first)

    asyncio.run(run())


def another(
    world: World, nats: NatsServers, cluster: str, name: str, **more: object
) -> AbstractAsyncContextManager[HostRig]:
    return host(world, nats.urls, cluster=cluster, name=name, shards=SHARDS, lease_s=LEASE_S, **more)


def test_hosts_that_start_together_share_without_a_move(nats: NatsServers, cluster: str) -> None:
    async def run() -> None:
        world = World()
        async with (
            another(world, nats, cluster, "a") as a,
            another(world, nats, cluster, "b") as b,
            another(world, nats, cluster, "c") as c,
        ):
            await until(lambda: len(world.runs) == 7)
            assert sorted(len(each.shards) for each in (a, b, c)) == [2, 2, 3]
            assert len(world.moved) == 7

    asyncio.run(run())


def test_a_host_that_dies_loses_its_shards_to_the_others_and_comes_back_as_a_spare(
    nats: NatsServers, cluster: str
) -> None:
    async def body(world: World, a: HostRig) -> None:
        async with another(world, nats, cluster, "b") as b:
            await until(lambda: len(b.shards) == 3)
            assert len(a.shards) == 4
            lost = b.shards
            died_at = time.monotonic()
            await b.die()
            await until(lambda: len(a.shards) == 7)
            assert time.monotonic() - died_at >= LEASE_S / 2  # not before the leases ended
            assert sorted(shard for shard, _ in world.moved[-3:]) == lost
        async with another(world, nats, cluster, "b", incarnation="b-2") as b:
            await until(lambda: "b" in {each.entry.name for each in a.leases.snapshot().hosts})
            assert b.shards == []
            await until(lambda: len(b.shards) == 3)
            assert sum(isinstance(told, GiveUp) for told in a.told) == 6

    alone(nats, cluster, body)


def test_a_host_that_leaves_in_order_is_replaced_at_once(nats: NatsServers, cluster: str) -> None:
    async def body(world: World, a: HostRig) -> None:
        async with another(world, nats, cluster, "b") as b:
            await until(lambda: len(b.shards) == 3)
            left_at = time.monotonic()
            await b.leave()
            await until(lambda: len(a.shards) == 7)
            assert time.monotonic() - left_at < LEASE_S
            assert [each.entry.name for each in a.leases.snapshot().hosts] == ["a"]

    alone(nats, cluster, body)


def test_a_drain_empties_a_host_one_shard_at_a_time(nats: NatsServers, cluster: str) -> None:
    async def body(world: World, a: HostRig) -> None:
        async with another(world, nats, cluster, "b") as b:
            await until(lambda: len(b.shards) == 3)
            a.leases.drain()
            assert not a.leases.drained
            most = 0
            while not a.leases.drained:
                most = max(most, 7 - len(world.runs))
                await asyncio.sleep(0.005)
            await until(lambda: len(b.shards) == 7)
            assert most == 1
            assert a.leases.snapshot().leases == {}

    alone(nats, cluster, body)


def test_the_last_host_keeps_its_shards_while_it_drains(nats: NatsServers, cluster: str) -> None:
    async def body(world: World, a: HostRig) -> None:
        a.leases.drain()
        await asyncio.sleep(LEASE_S)
        assert len(a.shards) == 7
        async with another(world, nats, cluster, "b") as b:
            await until(lambda: len(b.shards) == 7)

    alone(nats, cluster, body)


def test_a_lease_is_kept_until_the_worker_has_ended(nats: NatsServers, cluster: str) -> None:
    async def body(world: World, a: HostRig) -> None:
        a.answers = False
        async with another(world, nats, cluster, "b") as b:
            await until(lambda: any(isinstance(told, GiveUp) for told in a.told))
            given = next(told.shard for told in a.told if isinstance(told, GiveUp))
            await asyncio.sleep(1.5 * LEASE_S)
            assert b.shards == []
            assert a.leases.until(given) is not None
            assert not a.leases.may_start(given)
            world.stopped(given, "a")
            a.leases.released(given)
            await until(lambda: b.shards == [given])

    alone(nats, cluster, body)


def test_a_run_that_is_known_to_be_dead_is_succeeded_at_once(nats: NatsServers, cluster: str) -> None:
    async def body(world: World, a: HostRig) -> None:
        tokens = dict(world.tokens)
        await a.die()
        died_at = time.monotonic()
        more: dict[str, object] = {"incarnation": "a-2", "earlier": frozenset({"a-1"})}
        async with another(world, nats, cluster, "a", **more) as again:
            await until(lambda: len(again.shards) == 7)
            assert time.monotonic() - died_at < LEASE_S
            assert all(world.tokens[shard] > tokens[shard] for shard in SHARDS)

    alone(nats, cluster, body)


def test_a_run_of_which_nothing_is_known_is_waited_for(nats: NatsServers, cluster: str) -> None:
    async def body(world: World, a: HostRig) -> None:
        await a.die()
        died_at = time.monotonic()
        async with another(world, nats, cluster, "a", incarnation="a-2") as again:
            await until(lambda: len(again.shards) == 7)
            assert time.monotonic() - died_at >= LEASE_S / 2

    alone(nats, cluster, body)


def test_a_lease_of_the_same_name_from_a_run_of_which_nothing_is_known_is_not_taken(
    nats: NatsServers, cluster: str
) -> None:
    async def run() -> None:
        world = World()
        async with connected(nats.urls) as client:
            bucket = Bucket(client, f"gwcluster-{cluster}-leases", ttl_s=LEASE_S)
            await bucket.make()
            revision = await bucket.create("3", encode(Mark("a", "a-0", 1, 1)))
            async with another(world, nats, cluster, "a") as a:
                for _ in range(8):
                    await asyncio.sleep(LEASE_S / 4)
                    revision = await bucket.update("3", encode(Mark("a", "a-0", 1, 1)), revision)
                assert a.shards == [0, 1, 2, 4, 5, 6]
                await until(lambda: 3 in a.shards)

    asyncio.run(run())


def test_two_hosts_of_one_name_do_not_run(nats: NatsServers, cluster: str) -> None:
    async def body(world: World, a: HostRig) -> None:
        begun_at = time.monotonic()
        with pytest.raises(HostsError, match="a host named 'a' runs already"):
            async with another(world, nats, cluster, "a", incarnation="other"):
                pass
        assert time.monotonic() - begun_at < 2 * LEASE_S  # at the first renewal of the other one

    alone(nats, cluster, body)


def test_without_nats_leases_are_lost_in_time_and_claimed_again_when_it_is_back(
    tmp_path_factory: pytest.TempPathFactory, cluster: str
) -> None:
    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:

        async def body(world: World, a: HostRig) -> None:
            servers.kill(0, signal.SIGSTOP)
            stopped_at = time.monotonic()
            ends = {shard: a.leases.until(shard) for shard in SHARDS}
            await until(lambda: a.shards == [])
            assert all(end is not None and end <= stopped_at + 1.5 * LEASE_S for end in ends.values())
            lost = [told for told in a.told if isinstance(told, Lost)]
            assert {told.shard for told in lost} == set(SHARDS)
            shot = a.leases.snapshot()
            assert shot.unreachable_s is not None
            assert shot.why is not None
            servers.kill(0, signal.SIGCONT)
            await until(lambda: len(a.shards) == 7)
            await until(lambda: a.leases.snapshot().unreachable_s is None)

        alone(servers, cluster, body)


def test_a_snapshot_tells_who_has_what(nats: NatsServers, cluster: str) -> None:
    async def body(world: World, a: HostRig) -> None:
        await until(lambda: bool(a.leases.snapshot().hosts[0].entry.live == tuple(SHARDS)))
        shot = a.leases.snapshot()
        assert shot.me == "a"
        assert [each.shards for each in shot.hosts] == [tuple(SHARDS)]
        assert shot.hosts[0].entry.events == ("tcp://x:1",)
        assert all(0 < rest <= LEASE_S for rest in shot.leases.values())
        assert (shot.free, shot.connected, shot.unreachable_s, shot.leader) == ((), True, None, True)
        assert shot.server is not None
        assert shot.server.startswith("127.0.0.1:")
        assert sum(isinstance(told, Claimed) for told in a.told) == 7

    alone(nats, cluster, body)
