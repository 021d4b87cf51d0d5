"""What discord.py takes for a websocket, without a cluster."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, cast

import discord
import pytest
from discord.ext import commands

import gwcluster
import gwfeed


class FakeCluster:
    """Refuses as often as it is told to, and notes what it takes."""

    def __init__(self, *refusals: gwcluster.SendRefused) -> None:
        self.refusals = list(refusals)
        self.sent: list[tuple[dict[str, Any], int]] = []

    async def status(self) -> dict[str, Any]:
        return {"shard": [{"shard": 1, "latency_s": 0.125}, {"shard": 7, "latency_s": None}]}

    async def send(self, payload: dict[str, Any], *, shard: int) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.sent.append((payload, shard))


def play(scene: Callable[[Callable[..., gwfeed.Socket]], Awaitable[None]]) -> None:
    """Run a scene with a function that makes a socket of shard 1 of 2 for a bot and a cluster."""

    async def main() -> None:
        def socket(bot: discord.Client, cluster: FakeCluster) -> gwfeed.Socket:
            return gwfeed.Socket(bot, cast(gwcluster.Cluster, cluster), 1, 2)

        await scene(socket)

    asyncio.run(main())


def auto_bot() -> commands.AutoShardedBot:
    return commands.AutoShardedBot(command_prefix="!", intents=discord.Intents.default(), max_messages=10)


def dispatch(name: str, data: Any) -> bytes:
    return json.dumps({"t": name, "s": 5, "op": 0, "d": data}).encode()


def test_what_is_refused_for_a_while_is_sent_again_when_there_is_room() -> None:
    cluster = FakeCluster(
        gwcluster.SendRefused("rate_limited", "no room", 0.01),
        gwcluster.SendRefused("not_ready", "no shard yet", 0.01),
    )

    async def scene(socket: Callable[..., gwfeed.Socket]) -> None:
        await socket(auto_bot(), cluster).voice_state(7, 8, self_deaf=True)

    play(scene)
    voice = {"guild_id": 7, "channel_id": 8, "self_mute": False, "self_deaf": True}
    assert cluster.sent == [({"op": 4, "d": voice}, 1)]


@pytest.mark.parametrize("retry_after", [None, 61.0])
def test_what_is_refused_for_good_or_for_long_is_an_error_of_the_caller(retry_after: float | None) -> None:
    cluster = FakeCluster(gwcluster.SendRefused("too_large", "4097 bytes", retry_after))

    async def scene(socket: Callable[..., gwfeed.Socket]) -> None:
        with pytest.raises(gwcluster.SendRefused):
            await socket(auto_bot(), cluster).send_as_json({"op": 8, "d": {}})

    play(scene)
    assert cluster.sent == []


def test_an_answer_that_is_faster_than_the_word_that_it_was_asked_for_waits_for_that() -> None:
    class Slow(FakeCluster):
        async def send(self, payload: dict[str, Any], *, shard: int) -> None:
            await word.wait()
            await super().send(payload, shard=shard)

    word = asyncio.Event()
    order: list[str] = []

    async def scene(socket: Callable[..., gwfeed.Socket]) -> None:
        one = socket(auto_bot(), Slow())

        async def ask() -> None:
            await one.send_as_json({"op": 8, "d": {"nonce": "n1"}})
            order.append("asked")

        async def answer(nonce: object) -> None:
            await one.asked(nonce)
            order.append(f"answer {nonce}")

        asking = asyncio.create_task(ask())
        await asyncio.sleep(0)
        await answer("n2")
        await answer(None)
        answering = asyncio.create_task(answer("n1"))
        await asyncio.sleep(0)
        word.set()
        await asyncio.gather(asking, answering)
        await answer("n1")

    play(scene)
    assert order == ["answer n2", "answer None", "asked", "answer n1", "answer n1"]


def test_what_discord_py_stumbles_over_is_told_and_the_next_event_is_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[str] = []

    async def scene(socket: Callable[..., gwfeed.Socket]) -> None:
        bot = auto_bot()
        bot.dispatch = lambda name, *_: heard.append(name)  # type: ignore[method-assign]
        bot._connection.dispatch = bot.dispatch
        one = socket(bot, FakeCluster())
        with caplog.at_level(logging.ERROR):
            one.read(dispatch("MESSAGE_DELETE", {"no": "id"}))
        one.read(dispatch("MESSAGE_DELETE", {"id": "1", "channel_id": "2"}), loud=False)
        assert one.sequence == 5
        heard.append("aloud again")
        one.read(dispatch("MESSAGE_DELETE", {"id": "1", "channel_id": "2"}))

    play(scene)
    assert "can't read an event of shard 1" in caplog.text
    types = ["socket_event_type", "aloud again", "socket_event_type", "raw_message_delete"]
    assert heard == types


def test_a_bot_knows_its_shards_and_closing_it_ends_the_feed() -> None:
    left: list[str] = []

    async def scene(socket: Callable[..., gwfeed.Socket]) -> None:
        bot = auto_bot()
        one = socket(bot, FakeCluster())
        one.leave = lambda: left.append("left")
        gwfeed._attach(bot, {1: one}, 2)
        await bot._async_setup_hook()
        assert math.isinf(bot.latency)
        one.latency_s = 0.25
        assert bot.latencies == [(1, 0.25)]
        assert bot._connection._get_websocket(3 << 22) is one
        assert bot.shards[1].is_closed() is False
        assert bot.shards[1].is_ws_ratelimited() is False
        for forbidden in (bot.shards[1].disconnect, bot.shards[1].reconnect):
            with pytest.raises(RuntimeError, match="the cluster holds"):
                await forbidden()
        assert left == []
        await bot.close()
        assert bot.shards[1].is_closed() is True
        with pytest.raises(RuntimeError, match="the cluster holds"):
            await bot.shards[1].connect()

    play(scene)
    assert left == ["left"]


def test_a_plain_bot_has_one_shard_and_is_told_so_when_there_are_more() -> None:
    async def scene(socket: Callable[..., gwfeed.Socket]) -> None:
        bot = commands.Bot(command_prefix="!", intents=discord.Intents.default())
        one = socket(bot, FakeCluster())
        gwfeed._attach(bot, {1: one}, 2)
        assert (bot.shard_id, bot.shard_count, bot.ws) == (1, 2, one)
        with pytest.raises(TypeError, match="AutoShardedBot"):
            gwfeed._attach(bot, {0: one, 1: one}, 2)

    play(scene)


def test_a_shard_s_latency_is_the_cluster_s() -> None:
    async def scene(socket: Callable[..., gwfeed.Socket]) -> None:
        cluster = FakeCluster()
        one = socket(auto_bot(), cluster)
        watching = asyncio.create_task(gwfeed._watch(cast(gwcluster.Cluster, cluster), {1: one}))
        async with asyncio.timeout(20):
            while math.isinf(one.latency):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        watching.cancel()
        assert one.latency == 0.125

    play(scene)
