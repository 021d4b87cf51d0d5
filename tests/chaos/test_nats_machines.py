"""NATS servers on machines of their own: their leader is killed, and a client's link to them is cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from chaos.nats_machines import NatsMachines
from chaos.service import send
from support.cluster import until
from support.machines import machines

pytestmark = pytest.mark.e2e

SERVERS: Final = ("n1", "n2", "n3")
LONG_S: Final = 60.0


def kept(servers: NatsMachines) -> None:
    for service in servers.services.values():
        service.keep()


def end(servers: NatsMachines) -> None:
    for service in servers.services.values():
        service.stop(9, 5.0)


def with_stream(urls: list[str], scene: Callable[[JetStreamContext], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        client = await nats.connect(urls, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        js = client.jetstream(timeout=2.0)
        await js.add_stream(StreamConfig(name="s", subjects=["s.>"], num_replicas=3))
        try:
            await scene(js)
        finally:
            await client.close()

    asyncio.run(main())


async def published(js: JetStreamContext, seconds: float) -> int:
    """Publish until it is acknowledged; return the sequence."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return (await js.publish("s.x", b"x", timeout=0.5)).seq
        except (nats.errors.Error, nats.js.errors.Error):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


def test_the_leader_of_most_streams_is_found_killed_and_succeeded(tmp_path: Path) -> None:
    with machines(*SERVERS) as network:
        servers = NatsMachines(network, SERVERS, tmp_path)
        kept(servers)
        try:
            servers.wait_until_ready()

            async def scene(js: JetStreamContext) -> None:
                assert await published(js, LONG_S) == 1
                led = (await js.stream_info("s")).cluster
                assert led is not None
                leader = until(lambda: servers.victim("leader", 0), "a leader") or ""
                assert leader in servers.leaders()
                followers = {servers.victim("follower", which) for which in range(3)}
                assert followers == set(SERVERS) - {leader}
                pid = servers.services[leader].pid
                assert pid is not None
                send(pid, 9)
                until(lambda: servers.services[leader].pid is None, "its end")
                assert await published(js, LONG_S) > 1
                until(lambda: servers.victim("leader", 0) not in {None, leader}, "another leader", LONG_S)
                kept(servers)
                servers.wait_until_ready()

            with_stream(servers.urls, scene)
        finally:
            end(servers)


def test_who_is_cut_off_the_servers_gets_no_answer_until_the_link_is_mended(tmp_path: Path) -> None:
    with machines(*SERVERS, "h1") as network:
        servers = NatsMachines(network, SERVERS, tmp_path)
        kept(servers)
        try:
            servers.wait_until_ready()

            def cut() -> None:
                for server in SERVERS:
                    network.cut("h1", server)

            async def scene(js: JetStreamContext) -> None:
                await published(js, LONG_S)
                cut()
                with pytest.raises((nats.errors.Error, nats.js.errors.Error)):
                    await js.publish("s.x", b"x", timeout=1.0)
                for server in SERVERS:
                    network.mend("h1", server)
                assert await published(js, LONG_S) >= 2

            network.on("h1", lambda: with_stream(servers.urls, scene))
        finally:
            end(servers)
