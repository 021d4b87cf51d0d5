"""Feeds a discord.py bot from a cluster (does): the bot stays as it is, but for how it is started.

    gwfeed.run(bot, "cluster.yaml", cursor="bot.cursor", token=TOKEN)  # was: bot.run(TOKEN)

Needs discord.py 2.7 or a later 2, and gwcache.py beside it. Copy both.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

import discord
from discord.gateway import DiscordWebSocket
from discord.http import Route
from discord.shard import Shard
from discord.utils import setup_logging

import gwcluster
from gwcache import Cache
from gwcluster.client.addresses import find, known_hosts

PATIENCE_S: Final = 60.0
"""How long what the bot sends is tried again when the cluster says that there is no room for it."""

STATUS_S: Final = 10.0
"""Between two looks at the shards' latencies."""

_log = logging.getLogger("gwfeed")


def run(
    bot: discord.Client,
    file: str | os.PathLike[str] | None = None,
    *,
    token: str,
    cursor: str | os.PathLike[str],
    **options: Any,
) -> None:
    """Run a bot until it is closed, as `bot.run` does; see `start`."""
    setup_logging()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(start(bot, file, token=token, cursor=cursor, **options))


async def start(
    bot: discord.Client,
    file: str | os.PathLike[str] | None = None,
    *,
    token: str,
    cursor: str | os.PathLike[str],
    shards: Iterable[int] | None = None,
    events: str | None = None,
    requests: str | None = None,
    api: str | None = None,
) -> None:
    """Log in over REST alone, fill the bot's cache, and hand it events until it is closed.

    gwcluster's notices become events of the bot: `on_gwcluster_gap(event)` says where any may be missing.

    Args:
        bot: an `AutoShardedBot` or `AutoShardedClient`; a plain one if the cluster has a single shard.
        file: the cluster's `cluster.yaml`, for its addresses.
        cursor: a file that keeps how far the bot has come; without one yet it begins at now.
        shards: those whose events this process takes; None: all.
        events, requests: ZeroMQ addresses, instead of the file's.
        api: where REST is instead of at Discord, such as `http://127.0.0.1:5580/api/v10` of a `gwsimulator`.

    Raises:
        TypeError: a bot of one shard for a cluster of several.
        gwcluster.FollowError, gwcluster.CursorError: see `Cluster.subscribe`.
    """
    if api is not None:
        Route.BASE = api
    addresses = find(file, events, requests)
    connection = gwcluster.connect(file, events=events, requests=requests, curve=addresses.curve)
    async with bot, connection as cluster:
        host, *_ = await known_hosts(addresses)  # of several, any replays all shards' events
        await bot.login(token)
        ids, count = await _shards(cluster)
        ids = [shard for shard in ids if shards is None or shard in set(shards)]
        sockets = {shard: Socket(bot, cluster, shard, count) for shard in ids}
        _attach(bot, sockets, count)
        cache = Cache(bot, host.requests, count, addresses.curve)
        for shard, place in (await cache.places(cursor, ids)).items():
            async for payload in cache.fill(shard, place):
                sockets[shard].read(payload, loud=False)
            bot.dispatch("connect")
            bot.dispatch("shard_connect", shard)
        if bot.is_closed():
            return
        subscription = cluster.subscribe(shards=ids, cursor=cursor)
        for socket in sockets.values():
            socket.leave = subscription.close
        watching = asyncio.create_task(_watch(cluster, sockets))
        try:
            async for event in subscription:
                if event.name.startswith("GWCLUSTER_"):
                    bot.dispatch(event.name.lower(), event)
                else:
                    if event.name == "GUILD_MEMBERS_CHUNK":
                        await sockets[event.shard].asked(event.data.get("nonce"))
                    sockets[event.shard].read(event.payload)
                if event.name == "GWCLUSTER_GAP":
                    _log.warning("events may be missing: %s", event.data)
                await asyncio.sleep(0)  # the event's handlers begin before it counts as done
        finally:
            watching.cancel()


class Socket(DiscordWebSocket):
    """What discord.py takes for a shard's websocket: what it sends goes through the cluster.

    Attributes:
        latency_s: the shard's, as the cluster told it last.
        leave: ends the feed.
    """

    def __init__(self, bot: discord.Client, cluster: gwcluster.Cluster, shard: int, shards: int) -> None:
        super().__init__(None, loop=asyncio.get_running_loop())  # type: ignore[arg-type]  # there is none
        self.latency_s = math.inf
        self.leave: Callable[[], None] = lambda: None
        self.shard_id, self.shard_count = shard, shards
        self.token = bot.http.token
        self.gateway = self.DEFAULT_GATEWAY
        self._cluster = cluster
        self._questions: dict[str, asyncio.Event] = {}
        self._closed = False
        self._debug = bot._enable_debug_events
        self._dispatch = bot.dispatch
        self._connection = bot._connection
        self._discord_parsers = bot._connection.parsers

    @property
    def open(self) -> bool:
        """Whether the bot hasn't closed it."""
        return not self._closed

    @property
    def latency(self) -> float:
        """Seconds from the worker's last heartbeat to its ACK; infinite: not known."""
        return self.latency_s

    def read(self, payload: bytes, *, loud: bool = True) -> None:
        """Let discord.py take a dispatch; its handlers hear of it only if it is `loud`."""
        state, heard = self._connection, (self._connection.dispatch, self._dispatch)
        if not loud:
            state.dispatch = self._dispatch = _nobody
        reading = self.received_message(payload.decode())
        try:
            reading.send(None)  # a dispatch is read without waiting for anything
        except StopIteration:
            pass
        except Exception:  # noqa: BLE001 - what a parser of discord.py's stumbles over can be anything
            # Elsewhere this ends the bot. Here the same event would come again after every restart.
            _log.exception("discord.py can't read an event of shard %s", self.shard_id)
        finally:
            reading.close()
            state.dispatch, self._dispatch = heard

    def log_receive(self, data: dict[str, Any], /) -> None:
        """Show the bot what comes, if it has asked for that."""
        if self._debug:
            self.debug_log_receive(data)

    async def send(self, data: str, /) -> None:
        """Send a payload; `change_presence`, `voice_state`, `request_chunks` and `send_as_json` end here.

        Raises:
            gwcluster.SendRefused: the cluster doesn't send it; `code` says why.
            gwcluster.NoAnswer: it may have been sent or not.
        """
        if self._debug:
            self._dispatch("socket_raw_send", data)
        payload = json.loads(data)
        nonce = payload["d"].get("nonce") if payload["op"] == self.REQUEST_MEMBERS else None
        if nonce is None:
            await self._deliver(payload)
            return
        told = self._questions[nonce] = asyncio.Event()
        try:
            await self._deliver(payload)
        finally:
            del self._questions[nonce]
            told.set()

    async def asked(self, nonce: object) -> None:
        """Return when whoever asked for members knows that this was sent, and waits for the answer.

        An answer comes by another way than the word that the question was sent, and may be faster.
        """
        if isinstance(nonce, str) and (told := self._questions.get(nonce)) is not None:
            await told.wait()
        await asyncio.sleep(0)  # discord.py begins to wait in a task of its own

    async def _deliver(self, payload: dict[str, Any]) -> None:
        give_up_at = self.loop.time() + PATIENCE_S
        while True:
            try:
                await self._cluster.send(payload, shard=self.shard_id)
            except gwcluster.SendRefused as refused:
                wait_s = refused.retry_after
                if wait_s is None or self.loop.time() + wait_s > give_up_at:
                    raise
                await asyncio.sleep(wait_s)
            else:
                return

    async def close(self, code: int = 1000) -> None:
        """End the feed; the shard's session goes on without this bot."""
        self._closed, self._close_code = True, code
        self.leave()


class FedShard(Shard):
    """What discord.py takes for a shard; only `close` is the bot's to do."""

    async def disconnect(self) -> None:
        """Refuse, also for `ShardInfo.reconnect` and `connect`, which would dial Discord.

        Raises:
            RuntimeError: the cluster holds the connection.
        """
        raise RuntimeError(f"the cluster holds the connection of shard {self.id}, not this bot")

    reconnect = disconnect


def _nobody(*_: Any, **__: Any) -> None:
    """Hear nothing."""


async def _shards(cluster: gwcluster.Cluster) -> tuple[list[int], int]:
    """Return the ids of the cluster's shards, and how many the bot has in all."""
    while True:
        with contextlib.suppress(gwcluster.NoAnswer):
            status = await cluster.status()
            if status["ids"] and status["shards"] is not None:
                return status["ids"], status["shards"]
        _log.info("waiting for the cluster to know its shards")
        await asyncio.sleep(1.0)


def _attach(bot: discord.Client, sockets: dict[int, Socket], count: int) -> None:
    """Have the bot believe that it is connected."""
    bot.shard_count = bot._connection.shard_count = count
    if isinstance(bot, discord.AutoShardedClient):
        bot.shard_ids = bot._connection.shard_ids = list(sockets)
        bot._reconnect = True  # `Shard` reads it; else `connect` sets it
        shards = {shard: FedShard(socket, bot, _nobody) for shard, socket in sockets.items()}
        bot._AutoShardedClient__shards.update(shards)  # type: ignore[attr-defined]
    elif len(sockets) == 1:
        (bot.shard_id, bot.ws), *_ = sockets.items()
    else:
        raise TypeError(
            f"{type(bot).__name__} is a bot of one shard, and here are {len(sockets)}; "
            "make it a commands.AutoShardedBot, or a discord.AutoShardedClient"
        )


async def _watch(cluster: gwcluster.Cluster, sockets: dict[int, Socket]) -> None:
    """Keep the latencies fresh."""
    while True:
        with contextlib.suppress(gwcluster.NoAnswer):
            for one in (await cluster.status())["shard"]:
                if one["shard"] in sockets:
                    latency_s = one["latency_s"]
                    sockets[one["shard"]].latency_s = math.inf if latency_s is None else latency_s
        await asyncio.sleep(STATUS_S)
