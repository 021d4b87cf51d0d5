from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from gwcluster.wire.control import PermitUnused
from support.nats_rig import until
from support.nats_servers import NatsServers
from support.permits_rig import IdentifyingHost, closest, fast, identifying

WINDOW_S = 5.0  # Discord's
TTL_S = 30.0


def test_three_hosts_never_identify_on_a_key_within_a_window(
    nats: NatsServers, cluster: str, tmp_path: Path
) -> None:
    async def run() -> None:
        identified: list[tuple[int, float]] = []
        async with contextlib.AsyncExitStack() as stack:
            hosts = [
                await stack.enter_async_context(
                    identifying(tmp_path, nats.urls, cluster=cluster, name=name, identified=identified)
                )
                for name in "abc"
            ]
            for number, one in enumerate(hosts):
                one.ask(*range(number * 4, number * 4 + 4))
            await until(lambda: len(identified) == 12)
            assert closest(identified) >= WINDOW_S
            assert {key for key, _ in identified} == {0, 1}
            moments = [at for _, at in identified]
            assert max(moments) - min(moments) < 90  # six in a row on each key: nobody waits for a TTL
            await until(lambda: all(one.ledger.spent_since(0.0) == 12 for one in hosts))

    asyncio.run(run())


def late(host: IdentifyingHost, shard: int, lease_until: float) -> None:
    """Its coordinator dies right after the grant, and the worker identifies at the last moment."""
    host.alive = False

    async def send() -> None:
        await until(lambda: fast() >= lease_until - 1.0)
        host.send(shard, lease_until)

    host.sending = asyncio.get_running_loop().create_task(send())  # type: ignore[attr-defined]


def test_a_host_that_dies_after_a_grant_keeps_the_key_closed_until_its_last_permit_is_over(
    nats: NatsServers, cluster: str, tmp_path: Path
) -> None:
    async def run() -> None:
        identified: list[tuple[int, float]] = []
        async with identifying(
            tmp_path, nats.urls, cluster=cluster, name="a", identified=identified, worker=late
        ) as a:
            a.ask(0)
            await until(lambda: not a.alive)
            granted_at = fast()
        async with identifying(tmp_path, nats.urls, cluster=cluster, name="b", identified=identified) as b:
            b.ask(2)
            await until(lambda: len(identified) == 2)
            assert identified[0][1] - granted_at > 10.0
            assert closest(identified) >= WINDOW_S
            assert identified[1][1] - granted_at < TTL_S + 10.0

    asyncio.run(run())


def test_a_key_that_is_not_used_is_returned_at_once(nats: NatsServers, cluster: str, tmp_path: Path) -> None:
    def idle(host: IdentifyingHost, shard: int, lease_until: float) -> None:
        host.permits.heard(shard, PermitUnused())

    async def run() -> None:
        identified: list[tuple[int, float]] = []
        async with (
            identifying(
                tmp_path, nats.urls, cluster=cluster, name="a", identified=identified, worker=idle
            ) as a,
            identifying(tmp_path, nats.urls, cluster=cluster, name="b", identified=identified) as b,
        ):
            a.ask(0)
            await until(lambda: a.granted == [0])
            asked_at = fast()
            b.ask(2)
            await until(lambda: len(identified) == 1)
            assert identified[0][1] - asked_at < WINDOW_S
            await until(lambda: a.ledger.spent_since(0.0) == b.ledger.spent_since(0.0) == 1)

    asyncio.run(run())


def test_a_create_that_happened_without_an_answer_is_no_reason_to_wait_for_its_end(
    nats: NatsServers, cluster: str, tmp_path: Path
) -> None:
    async def run() -> None:
        identified: list[tuple[int, float]] = []
        async with identifying(tmp_path, nats.urls, cluster=cluster, name="a", identified=identified) as a:
            a.client.drops = 1
            asked_at = fast()
            a.ask(0)
            await until(lambda: len(identified) == 1)
            assert identified[0][1] - asked_at < TTL_S / 2

    asyncio.run(run())
