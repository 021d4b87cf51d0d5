"""Processes that share a cluster's events, against a real server and logs as hosts write them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

import share
from support.nats_servers import NatsServers, nats_servers

SHARE = Path(share.__file__)
SECONDS = 20.0
EPOCH = "9f86d081884c7d65"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:
        yield servers


def scene(servers: NatsServers, play: Callable[[JetStreamContext], Awaitable[None]]) -> None:
    """Play something with a connection, bounded."""

    async def played() -> None:
        client = await nats.connect(servers.urls)
        try:
            async with asyncio.timeout(SECONDS):
                await play(client.jetstream())
        finally:
            await client.close()

    asyncio.run(played())


class Logs:
    """Two shards' logs, as their hosts write them."""

    def __init__(self, stream: JetStreamContext, cluster: str) -> None:
        self._stream = stream
        self._cluster = cluster
        self._next = [0, 0]

    async def make(self) -> None:
        for shard in range(2):
            subject = f"gwcluster.{self._cluster}.log.{shard}.>"
            await self._stream.add_stream(
                StreamConfig(
                    name=f"gwcluster-{self._cluster}-log-{shard}", subjects=[subject], allow_direct=True
                )
            )

    async def append(self, name: str, shard: int, count: int = 1) -> list[tuple[str, int, int]]:
        """Append events; return the key of each."""
        keys = []
        for _ in range(count):
            offset = self._next[shard]
            self._next[shard] += 1
            data = json.dumps({"t": name, "s": offset + 1, "op": 0, "d": {"content": "hi"}}).encode()
            said = {"Gw-V": 1, "Gw-Epoch": EPOCH, "Gw-Shards": 2, "Gw-Offset": offset, "Gw-Session": 1}
            headers = {key: str(value) for key, value in said.items()} | {"Gw-At": repr(1.5)}
            await self._stream.publish(f"gwcluster.{self._cluster}.log.{shard}.{name}", data, headers=headers)
            keys.append((EPOCH, shard, offset))
        return keys

    async def mark(self, shard: int) -> None:
        headers = {"Gw-Session": "1", "Gw-Offset": str(self._next[shard])}
        await self._stream.publish(f"gwcluster.{self._cluster}.log.{shard}._mark", b"", headers=headers)


async def handled(stream: JetStreamContext, name: str, count: int) -> list[share.Event]:
    """Work until so many events were handled."""
    events: list[share.Event] = []
    enough = asyncio.Event()

    async def handle(event: share.Event) -> None:
        events.append(event)
        if len(events) == count:
            enough.set()

    working = asyncio.create_task(share.work(stream, name, "group", handle))
    await enough.wait()
    await asyncio.sleep(0)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return events


def test_the_wanted_events_of_all_shards_come_from_now_on(servers: NatsServers) -> None:
    async def play(stream: JetStreamContext) -> None:
        logs = Logs(stream, "wanted")
        await logs.make()
        await logs.append("MESSAGE_CREATE", 0, 3)
        name = await share.prepare(stream, "wanted", 2, "group", ["MESSAGE_CREATE", "GUILD_CREATE"])
        keys = await logs.append("MESSAGE_CREATE", 0, 2)
        await logs.append("TYPING_START", 1)
        await logs.mark(1)
        keys += await logs.append("GUILD_CREATE", 1)
        found = await handled(stream, name, 3)
        assert sorted(event.key for event in found) == sorted(keys)
        assert {(event.name, event.shard) for event in found} == {("MESSAGE_CREATE", 0), ("GUILD_CREATE", 1)}
        assert found[0].data == {"content": "hi"}
        assert await share.prepare(stream, "wanted", 2, "group", ["GUILD_CREATE", "MESSAGE_CREATE"]) == name
        with pytest.raises(ValueError, match="group group has other events"):
            await share.prepare(stream, "wanted", 2, "group", ["GUILD_CREATE"])
        again = await logs.append("MESSAGE_CREATE", 0)
        assert [event.key for event in await handled(stream, name, 1)] == again

    scene(servers, play)


STUCK = """
import asyncio, sys, nats, share
async def handle(event):
    print(*event.key, flush=True)
    await asyncio.sleep(60)
async def main():
    stream = (await nats.connect(sys.argv[1])).jetstream()
    await share.work(stream, sys.argv[2], "group", handle)
asyncio.run(main())
"""


def test_what_a_process_was_killed_over_goes_to_another(servers: NatsServers) -> None:
    async def play(stream: JetStreamContext) -> None:
        logs = Logs(stream, "killed")
        await logs.make()
        name = await share.prepare(stream, "killed", 2, "group", ["MESSAGE_CREATE"], patience_s=1.0)
        keys = await logs.append("MESSAGE_CREATE", 0, 3)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", STUCK, servers.urls[0], name, stdout=subprocess.PIPE, cwd=SHARE.parent
        )
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        process.kill()
        await process.wait()
        assert line.split() == [str(part) for part in keys[0]]
        found = [event.key for event in await handled(stream, name, 3)]
        assert sorted(found) == keys

    scene(servers, play)


def test_what_fails_is_tried_again(servers: NatsServers, capsys: pytest.CaptureFixture[str]) -> None:
    async def play(stream: JetStreamContext) -> None:
        logs = Logs(stream, "failed")
        await logs.make()
        name = await share.prepare(stream, "failed", 2, "group", ["MESSAGE_CREATE"])
        (key,) = await logs.append("MESSAGE_CREATE", 1)
        tried: list[Any] = []
        done = asyncio.Event()

        async def handle(event: share.Event) -> None:
            tried.append(event.key)
            if len(tried) == 1:
                raise ValueError("not yet")
            done.set()

        working = asyncio.create_task(share.work(stream, name, "group", handle))
        await done.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert tried == [key, key]

    scene(servers, play)
    assert "tried again: gwcluster.failed.log.1.MESSAGE_CREATE not yet" in capsys.readouterr().err


def test_the_program_shows_what_it_was_given(servers: NatsServers) -> None:
    async def play(stream: JetStreamContext) -> None:
        logs = Logs(stream, "shown")
        await logs.make()
        arguments = [servers.urls[0], "--cluster", "shown", "--shards", "2", "--group", "g", "MESSAGE_CREATE"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, SHARE, *arguments, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        reading = asyncio.create_task(process.stdout.readline())
        while not reading.done():  # what comes before it has made its stream isn't its own
            await logs.append("MESSAGE_CREATE", 1)
            await asyncio.wait([reading], timeout=0.05)
        process.kill()
        await process.wait()
        assert reading.result().decode().startswith(f"MESSAGE_CREATE {EPOCH} 1 ")

    scene(servers, play)
