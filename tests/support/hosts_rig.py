"""Hosts whose coordinators do nothing but what their leases tell them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

from nats.aio.client import Client

from gwcluster.hosts.leases import Leases, Me
from gwcluster.hosts.told import Claimed, GiveUp, Lost, Renewed, Told
from support.nats_rig import connected


class World:
    """Who runs what. Two that run one shard at once are an error.

    A host that doesn't hear runs its shards until their worker leaves by itself.
    """

    def __init__(self) -> None:
        self.runs: dict[int, tuple[str, float, float]] = {}  # shard → host, until when, token
        self.tokens: dict[int, int] = {}
        self.moved: list[tuple[int, str]] = []

    def started(self, shard: int, host: str, token: int, stop_at: float) -> None:
        other, until, _ = self.runs.get(shard, (host, 0.0, 0))
        assert other == host or time.monotonic() >= until, f"{other} and {host} run shard {shard}"
        assert token > self.tokens.get(shard, 0), "a token that isn't newer fences nobody"
        self.tokens[shard] = token
        self.runs[shard] = host, stop_at, token
        self.moved.append((shard, host))

    def renewed(self, shard: int, host: str, stop_at: float) -> None:
        assert self.runs[shard][0] == host
        self.runs[shard] = host, stop_at, self.runs[shard][2]

    def stopped(self, shard: int, host: str) -> None:
        if self.runs.get(shard, ("", 0, 0))[0] == host:
            del self.runs[shard]

    def of(self, host: str) -> list[int]:
        return sorted(shard for shard, (runner, _, _) in self.runs.items() if runner == host)


class HostRig:
    """One host. `told` has what its leases said."""

    def __init__(
        self,
        world: World,
        client: Client,
        *,
        cluster: str,
        name: str,
        shards: Sequence[int],
        lease_s: float,
        incarnation: str | None = None,
        earlier: frozenset[str] = frozenset(),
    ) -> None:
        self.world = world
        self.name = name
        self.told: list[Told] = []
        self.live: set[int] = set()
        self.answers = True
        me = Me(name, incarnation or f"{name}-1", earlier, "0", 0.0, events=("tcp://x:1",))
        self.leases = Leases(
            client,
            cluster=cluster,
            me=me,
            shards=shards,
            lease_s=lease_s,
            clock=time.monotonic,
            tell=self._hear,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.leases.join()
        self._task = asyncio.create_task(self.leases.run())

    async def die(self) -> None:
        """End without a word, and the workers with it."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for shard in self.world.of(self.name):
            self.world.stopped(shard, self.name)

    async def leave(self) -> None:
        """End in order."""
        await self.die()
        await self.leases.close(within_s=5.0)

    @property
    def shards(self) -> list[int]:
        return self.world.of(self.name)

    def _stop_at(self, until: float) -> float:
        return until - self.leases.lease_s / 5

    def _hear(self, told: Told) -> None:
        self.told.append(told)
        match told:
            case Claimed(shard, token, until):
                self.world.started(shard, self.name, token, self._stop_at(until))
                self._lives(shard)
            case Renewed(shard, until):
                self.world.renewed(shard, self.name, self._stop_at(until))
            case GiveUp(shard):
                if self.answers:
                    self.world.stopped(shard, self.name)
                    self.live.discard(shard)
                    self.leases.released(shard)
            case Lost(shard):
                self.world.stopped(shard, self.name)
                self.live.discard(shard)

    def _lives(self, shard: int) -> None:
        self.live.add(shard)
        self.leases.live(self.live)


@contextlib.asynccontextmanager
async def host(
    world: World,
    urls: list[str],
    *,
    cluster: str,
    name: str,
    shards: Sequence[int],
    lease_s: float,
    **more: object,
) -> AsyncIterator[HostRig]:
    """Run a host as long as the block."""
    async with connected(urls) as client:
        rig = HostRig(world, client, cluster=cluster, name=name, shards=shards, lease_s=lease_s, **more)  # type: ignore[arg-type]
        await rig.start()
        try:
            yield rig
        finally:
            await rig.die()
