"""Hosts that identify: gate, permits, shared keys and shared ledger, with workers that are functions.

Time runs `SPEED` times as fast for all but NATS, whose TTL is shortened to match.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from gwcluster.hosts.permit_keys import TTL_S
from gwcluster.hosts.shared_keys import SharedKeys
from gwcluster.hosts.shared_ledger import SharedLedger
from gwcluster.identify.gate import Budget, Gate
from gwcluster.identify.ledger import Ledger
from gwcluster.identify.permits import Permits
from gwcluster.wire.control import AskPermit, Message, Permit, PermitUsed
from support.nats_rig import Deaf, connected

SPEED: Final = 10.0
_BEGUN: Final = time.monotonic()


def fast() -> float:
    """Monotonic seconds, as fast as the test wants them."""
    return 10_000.0 + (time.monotonic() - _BEGUN) * SPEED


class IdentifyingHost:
    """One host; `identified` has the moment (`fast`) of each IDENTIFY of each key, of all hosts.

    Args:
        worker: what a shard's worker does with its permit; default: it identifies at once.
    """

    def __init__(
        self,
        client: Deaf,
        folder: Path,
        *,
        cluster: str,
        name: str,
        identified: list[tuple[int, float]],
        total: int = 1000,
        max_concurrency: int = 2,
        worker: Callable[[IdentifyingHost, int, float], None] | None = None,
    ) -> None:
        self.name = name
        self.client = client
        self.identified = identified
        self.max_concurrency = max_concurrency
        self.granted: list[int] = []
        self.alive = True
        self._worker = worker or IdentifyingHost.identify
        self._woken = asyncio.Event()
        self.local = Ledger(folder / f"{name}.sqlite", clock=time.time)
        budget = Budget(total=total, remaining=total, reset_at=fast() + 86_400.0, reserve=0)
        self.gate = Gate(max_concurrency=max_concurrency, budget=budget, jitter=random.random)
        owner = f"{name}-{random.getrandbits(32):x}"
        nats: Any = client
        self.ledger = SharedLedger(
            nats,
            cluster=cluster,
            host=name,
            owner=owner,
            local=self.local,
            clock=time.time,
            limit=lambda: self.gate.budget.total - self.gate.budget.reserve,
            others_spent=self._others_spent,
            born=owner,
        )
        self.keys = SharedKeys(
            nats,
            cluster=cluster,
            owner=owner,
            ledger=self.ledger,
            clock=fast,
            jitter=random.random,
            wake=self._woken.set,
            ttl_s=TTL_S / SPEED,
        )
        self.permits = Permits(
            self.gate,
            self.ledger,
            shards=100,
            tell=self._tell,
            clock=fast,
            wall=time.time,
            keys=self.keys,
        )

    def _others_spent(self, count: int) -> None:
        for _ in range(count):
            self.gate.budget = self.gate.budget.spent()

    def _tell(self, shard: int, message: Message) -> None:
        assert isinstance(message, Permit)
        self.granted.append(shard)
        self._worker(self, shard, message.until)

    def identify(self, shard: int, lease_until: float) -> None:
        """Send IDENTIFY at once, and say so."""
        self.send(shard, lease_until)
        self.permits.heard(shard, PermitUsed(ago_s=0.0))
        self.permits.live(shard)
        self._woken.set()

    def send(self, shard: int, lease_until: float) -> None:
        """Send IDENTIFY, and say nothing."""
        now = fast()
        assert now < lease_until
        self.identified.append((shard % self.max_concurrency, now))

    def ask(self, *shards: int) -> None:
        """Let shards want to identify."""
        for shard in shards:
            self.permits.heard(shard, AskPermit())
        self._woken.set()

    async def run(self) -> None:
        """Grant until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.keys.run())
            tasks.create_task(self.ledger.run())
            while True:
                self.permits.step()
                due = self.permits.due
                wait_s = 1.0 if due is None else max(0.0, due - fast()) / SPEED
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(1.0, wait_s)):
                        await self._woken.wait()
                self._woken.clear()


@contextlib.asynccontextmanager
async def identifying(
    folder: Path,
    urls: list[str],
    *,
    cluster: str,
    name: str,
    identified: list[tuple[int, float]],
    **more: Any,
) -> AsyncIterator[IdentifyingHost]:
    """Run a host as long as the block; it ends without a word."""
    async with connected(urls) as client:
        names: dict[str, Any] = {"cluster": cluster, "name": name, "identified": identified, **more}
        host = IdentifyingHost(Deaf(client), folder, **names)
        await host.keys.join()
        await host.ledger.join()
        task = asyncio.create_task(host.run())
        try:
            yield host
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            host.local.close()


def closest(identified: list[tuple[int, float]]) -> float:
    """Return the least seconds between two IDENTIFYs of one key."""
    last: dict[int, float] = {}
    least = float("inf")
    for key, at in sorted(identified, key=lambda one: one[1]):
        least = min(least, at - last.get(key, float("-inf")))
        last[key] = at
    return least
