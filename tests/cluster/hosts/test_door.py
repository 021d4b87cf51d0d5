from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgpack
import nats
import pytest
from nats.aio.client import Client

from gwcluster.hosts.door import Answer, Door
from gwcluster.wire.control import CommandDone
from gwcluster.wire.requests import Send
from support.nats_servers import nats_servers

SENT = CommandDone(7, None, "", None, 1.0)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with nats_servers(tmp_path_factory.mktemp("nats")) as servers:
        yield servers.urls[0]


class Host:
    """One host's door, and what came through it."""

    def __init__(self, client: Client, name: str) -> None:
        self.asked: list[tuple[Send, Answer]] = []
        self.answers: list[CommandDone] = []
        self.door = Door(
            client, cluster="example", host=name, send=lambda ask, answer: self.asked.append((ask, answer))
        )

    async def pass_on(self, host: str, wait_s: float = 5.0, **fields: Any) -> CommandDone:
        told: asyncio.Future[CommandDone] = asyncio.get_running_loop().create_future()
        ask = Send(None, {"op": 4, "d": {"guild_id": "1"}}, fields.get("shard", 3), None, fields.get("ttl"))
        self.door.pass_on(host, ask, wait_s=wait_s, answer=told.set_result)
        return await told


def play(url: str, scene: Callable[[Host, Host, Client], Awaitable[None]]) -> None:
    async def whole() -> None:
        one, two = await nats.connect(url), await nats.connect(url)
        try:
            a, b = Host(one, "a"), Host(two, "b")
            await a.door.open()
            await b.door.open()
            await one.flush()
            await two.flush()
            await scene(a, b, one)
        finally:
            await one.close()
            await two.close()

    asyncio.run(asyncio.wait_for(whole(), 20.0))


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(10.0):
        while not look():  # noqa: ASYNC110 - what is looked at tells nobody
            await asyncio.sleep(0.005)


async def asked(host: Host) -> tuple[Send, Answer]:
    await until(lambda: host.asked)
    return host.asked.pop()


def test_a_payload_goes_to_the_host_that_is_named_and_its_answer_comes_back(url: str) -> None:
    async def scene(a: Host, b: Host, client: Client) -> None:
        passing = asyncio.create_task(a.pass_on("b", ttl=12.5))
        ask, answer = await asked(b)
        assert (ask.payload, ask.shard, ask.guild_id, ask.ttl_s) == (
            {"op": 4, "d": {"guild_id": "1"}},
            3,
            None,
            12.5,
        )
        answer(SENT)
        assert (await passing).code is None
        assert not a.asked

    play(url, scene)


def test_a_refusal_comes_back_as_it_was_given(url: str) -> None:
    async def scene(a: Host, b: Host, client: Client) -> None:
        passing = asyncio.create_task(a.pass_on("b"))
        _, answer = await asked(b)
        answer(CommandDone(7, "rate_limited", "later", 3.5, None))
        assert await passing == CommandDone(0, "rate_limited", "later", 3.5, None)

    play(url, scene)


def test_a_host_that_is_not_there_is_said_at_once_and_one_that_is_silent_in_time(url: str) -> None:
    async def scene(a: Host, b: Host, client: Client) -> None:
        gone = await a.pass_on("c")
        assert (gone.code, gone.retry_after_s) == ("not_ready", 1.0)
        assert "host c, which has shard 3, doesn't answer" in gone.message
        silent = await a.pass_on("b", wait_s=-4.9)
        assert (silent.code, silent.retry_after_s) == ("not_ready", None)
        assert "Discord may have this or not" in silent.message

    play(url, scene)


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        msgpack.packb({"v": 1, "id": 1, "op": "status"}),
        msgpack.packb({"v": 1, "id": 1, "op": "send", "guild_id": "1", "payload": {}}),
        msgpack.packb({"v": 1, "id": 1, "op": "send", "shard": 1, "payload": "x" * 70_000}),
    ],
    ids=["no msgpack", "no payload", "for a guild", "too large"],
)
def test_what_is_not_a_payload_for_a_shard_is_refused(url: str, body: bytes) -> None:
    async def scene(a: Host, b: Host, client: Client) -> None:
        said = await client.request("gwcluster.example.host.b.send", body, timeout=5)
        assert msgpack.unpackb(said.data)["error"]["code"] == "bad_request"
        assert not b.asked

    play(url, scene)


def test_so_many_may_wait_and_no_more(url: str) -> None:
    async def scene(a: Host, b: Host, client: Client) -> None:
        waiting = [asyncio.create_task(a.pass_on("b")) for _ in range(1_024)]
        await until(lambda: len(b.asked) == 1_024)
        assert (await a.pass_on("b")).code == "rate_limited"
        for _, answer in b.asked:
            answer(SENT)
        assert {(await each).code for each in waiting} == {None}
        passing = asyncio.create_task(a.pass_on("b"))
        b.asked.clear()
        _, answer = await asked(b)
        answer(SENT)
        assert (await passing).code is None

    play(url, scene)


def test_who_waits_when_a_host_stops_is_told(url: str) -> None:
    async def scene(a: Host, b: Host, client: Client) -> None:
        passing = asyncio.create_task(a.pass_on("b"))
        await asked(b)
        a.door.close()
        assert "being stopped" in (await passing).message

    play(url, scene)
