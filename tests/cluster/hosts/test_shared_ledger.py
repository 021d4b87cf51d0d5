from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gwcluster.hosts.errors import HostsError, UnansweredError
from gwcluster.hosts.shared_ledger import SharedLedger
from gwcluster.identify.known import Known
from gwcluster.identify.ledger import READY, Ledger, LedgerError
from support.nats_rig import Deaf, connected, until
from support.nats_servers import NatsServers
from support.permits_rig import IdentifyingHost, identifying

KNOWN = Known("https://discord.com/api/v10", "wss://gateway.discord.gg", 8, 8)


class Host:
    def __init__(
        self, client: Any, folder: Path, name: str, cluster: str, limit: int = 1000, room: int | None = None
    ) -> None:
        self.others = 0
        self.now: Callable[[], float] = time.time
        self.local = Ledger(folder / f"{name}.sqlite", clock=lambda: self.now())
        self.ledger = SharedLedger(
            client,
            cluster=cluster,
            host=name,
            owner=f"{name}-1",
            local=self.local,
            clock=lambda: self.now(),
            limit=lambda: limit,
            others_spent=self._others_spent,
            born=f"born by {name}",
            room_bytes=room,
        )

    def _others_spent(self, count: int) -> None:
        self.others += count


@contextlib.asynccontextmanager
async def joined(
    nats: NatsServers, folder: Path, name: str, cluster: str, *, deaf: list[Deaf] | None = None, **more: Any
) -> AsyncIterator[Host]:
    async with connected(nats.urls) as client:
        link: Any = client
        if deaf is not None:
            link = Deaf(client)
            deaf.append(link)
        host = Host(link, folder, name, cluster, **more)
        await host.ledger.join()
        task = asyncio.create_task(host.ledger.run())
        try:
            yield host
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            host.local.close()


def test_three_hosts_that_grant_at_once_spend_exactly_what_the_day_allows(
    nats: NatsServers, cluster: str, tmp_path: Path
) -> None:
    async def run() -> None:
        async with (
            joined(nats, tmp_path, "a", cluster, limit=20) as a,
            joined(nats, tmp_path, "b", cluster, limit=20) as b,
            joined(nats, tmp_path, "c", cluster, limit=20) as c,
        ):

            async def spend(host: Host, name: str) -> int:
                return sum([await host.ledger.reserve(f"{name}-1.{n}", n, n) for n in range(10)])

            spent = await asyncio.gather(spend(a, "a"), spend(b, "b"), spend(c, "c"))
            assert sum(spent) == 20
            await until(lambda: [each.ledger.spent_since(0.0) for each in (a, b, c)] == [20, 20, 20])
            assert [each.others for each in (a, b, c)] == [20 - own for own in spent]

    asyncio.run(run())


def test_an_answer_that_is_lost_counts_nothing_twice(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    async def run() -> None:
        links: list[Deaf] = []
        async with (
            joined(nats, tmp_path, "a", cluster, deaf=links) as a,
            joined(nats, tmp_path, "b", cluster) as b,
        ):
            assert await b.ledger.reserve("b-1.1", 7, 7)
            links[0].drops = 1
            with pytest.raises(UnansweredError):
                await a.ledger.reserve("a-1.1", 3, 3)  # it happened, and isn't granted
            assert await a.ledger.reserve("a-1.2", 3, 3)
            await until(lambda: a.ledger.spent_since(0.0) == b.ledger.spent_since(0.0) == 2)
            assert a.others == 1

    asyncio.run(run())


def test_what_was_not_answered_is_looked_up_before_it_is_taken_back(
    nats: NatsServers, cluster: str, tmp_path: Path
) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client, joined(nats, tmp_path, "b", cluster) as b:
            link = Deaf(client)
            a = Host(link, tmp_path, "a", cluster)
            await a.ledger.join()  # and hears nothing of the bucket
            link.drops = 1
            with pytest.raises(UnansweredError):
                await a.ledger.reserve("a-1.1", 3, 3)
            await until(lambda: b.ledger.spent_since(0.0) == 1)
            await a.ledger.close(within_s=5.0)
            await until(lambda: b.ledger.spent_since(0.0) == 0)
            a.local.close()

    asyncio.run(run())


def test_what_becomes_of_a_permit_is_known_to_all(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            joined(nats, tmp_path, "a", cluster) as a,
            joined(nats, tmp_path, "b", cluster) as b,
        ):
            for shard in (3, 4):
                assert await a.ledger.reserve(f"a-1.{shard}", shard, shard)
            now = time.time()
            row = a.ledger.granted(3, 8, 3, now)
            a.ledger.sent(row, now + 0.001)
            a.ledger.outcome(row, READY)
            other = a.ledger.granted(4, 8, 4, now)
            a.ledger.unused(other)
            await until(lambda: b.ledger.spent_since(0.0) == 1)
            await until(lambda: b.ledger.past(0.0)[0].ready_at is not None)
            (past,) = b.ledger.past(0.0)
            assert past.shard == 3
            assert past.sent_at == pytest.approx(now + 0.001, abs=0.01)
            assert b.ledger.last_sent_by_key(2) == {1: pytest.approx(now, abs=0.5)}
            assert b.local.spent_since(0.0) == 0
            assert a.local.spent_since(0.0) == 1

    asyncio.run(run())


def test_a_permit_that_is_not_reserved_does_not_leave(
    nats: NatsServers, cluster: str, tmp_path: Path
) -> None:
    async def run() -> None:
        async with joined(nats, tmp_path, "a", cluster) as a:
            with pytest.raises(LedgerError, match="key 3 isn't reserved"):
                a.ledger.granted(3, 8, 3, time.time())

    asyncio.run(run())


def test_what_a_host_did_alone_is_brought_along_once(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    before = Ledger(tmp_path / "a.sqlite", clock=time.time)
    before.sent(before.granted(3, 8, 3, time.time()), time.time())
    before.granted(4, 8, 4, time.time())
    before.close()

    async def run() -> None:
        async with joined(nats, tmp_path, "b", cluster) as b:
            assert await b.ledger.reserve("b-1.1", 1, 1)
            async with joined(nats, tmp_path, "a", cluster) as a:
                assert a.ledger.spent_since(0.0) == 3
                assert await a.ledger.reserve("a-1.1", 5, 5)
                a.ledger.granted(5, 8, 5, time.time())
            async with joined(nats, tmp_path, "a", cluster) as a:
                assert a.ledger.spent_since(0.0) == 4
            await until(lambda: b.ledger.spent_since(0.0) == 4)
            assert b.others == 3

    asyncio.run(run())


def test_what_discord_said_is_known_to_all(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            joined(nats, tmp_path, "a", cluster) as a,
            joined(nats, tmp_path, "b", cluster) as b,
        ):
            assert b.ledger.known is None
            a.ledger.keep_known(KNOWN)
            wait_until = time.time() + 60.0
            a.ledger.set_not_before(wait_until)
            assert a.ledger.not_before == wait_until
            await until(lambda: b.ledger.known == KNOWN)
            await until(lambda: b.ledger.not_before == wait_until)
            b.now = lambda: wait_until + 1.0
            assert b.ledger.not_before is None

    asyncio.run(run())


def test_what_was_not_told_yet_is_told_at_the_end(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with joined(nats, tmp_path, "b", cluster) as b:
            async with joined(nats, tmp_path, "a", cluster) as a:
                assert await a.ledger.reserve("a-1.1", 3, 3)
            a.ledger.unreserve("a-1.1")
            async with connected(nats.urls) as client:
                a.ledger._client = a.ledger._bucket.client = client
                await a.ledger.close(within_s=5.0)
            await until(lambda: b.ledger.spent_since(0.0) == 0)

    asyncio.run(run())


def test_a_clock_that_is_wrong_is_refused(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with connected(nats.urls) as client:
            host = Host(client, tmp_path, "a", cluster)
            host.now = lambda: time.time() + 100.0
            with pytest.raises(HostsError, match=r"clock is (99|100) s ahead"):
                await host.ledger.join()
            host.local.close()

    asyncio.run(run())


def test_where_a_day_has_no_room_nothing_is_granted(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with joined(nats, tmp_path, "a", cluster, room=400) as a:
            counted = 0

            async def fill() -> None:
                nonlocal counted
                for number in range(100):
                    assert await a.ledger.reserve(f"a-1.{number}", number * 37, number)
                    counted += 1

            with pytest.raises(HostsError, match=r"identifies take \d+ bytes .* takes 400"):
                await fill()
            assert 1 <= counted < 100
            assert a.ledger.spent_since(0.0) == counted

    asyncio.run(run())


def test_hosts_stop_at_the_days_limit_together(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    async def run() -> None:
        identified: list[tuple[int, float]] = []
        more: dict[str, Any] = {"identified": identified, "total": 5, "max_concurrency": 16}
        async with (
            identifying(tmp_path, nats.urls, cluster=cluster, name="a", **more) as a,
            identifying(tmp_path, nats.urls, cluster=cluster, name="b", **more) as b,
        ):

            def spent(host: IdentifyingHost) -> int:
                return host.gate.budget.remaining

            a.ask(*range(4))
            b.ask(*range(4, 8))
            await until(lambda: len(identified) == 5)
            await until(lambda: spent(a) == spent(b) == 0)
            await asyncio.sleep(1.0)
            assert len(identified) == 5

    asyncio.run(run())
