"""discord.py that hands on what it receives.

Arguments: API, gateway, subscriber, transport, `max_concurrency`. As light as its documentation allows: no
messages and members kept, no member chunks, few intents, the extra `speed`. `on_socket_raw_receive` has the
payload as Discord sent it; we take it where it is dispatched, so that no task is made for each event.
discord.py parses it all the same. It doesn't say which shard it is from.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

api, gateway, subscriber, transport, max_concurrency = sys.argv[1:]
if transport == "zlib-stream":
    for name in ("zstandard", "compression.zstd"):
        sys.modules[name] = None  # type: ignore[assignment]  # it takes zstd when it can import it

import discord  # noqa: E402
import yarl  # noqa: E402
from discord.gateway import DiscordWebSocket  # noqa: E402
from discord.http import Route  # noqa: E402

from outlet import NO_SHARD, Outlet  # noqa: E402

Route.BASE = api
DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)
START = len('{"t":"')


class Client(discord.AutoShardedClient):
    """Hands on each dispatch."""

    def __init__(self) -> None:
        super().__init__(
            intents=discord.Intents(guilds=True, guild_messages=True, message_content=True),
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            enable_debug_events=True,
        )
        self._identified: dict[int, float] = {}

    async def setup_hook(self) -> None:
        """Connect before the first shard does."""
        self._outlet = await Outlet.open(subscriber)

    def dispatch(self, event: str, /, *args: Any, **_: Any) -> None:
        """Take raw payloads; nobody listens to anything else."""
        if event == "socket_raw_receive" and args[0].startswith('{"t":"'):
            text: str = args[0]
            name = text[START : text.index('"', START)].encode()
            self._outlet.put(NO_SHARD, 0, name, text.encode())

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:  # noqa: ARG002
        """Wait as long as `max_concurrency` asks for; its own waits 5 s before each shard but the first."""
        key = (shard_id or 0) % int(max_concurrency)
        await asyncio.sleep(self._identified.get(key, 0.0) - time.monotonic())
        self._identified[key] = time.monotonic() + 5.0


Client().run("abc", log_level=logging.WARNING)
