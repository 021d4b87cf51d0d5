"""hikari that hands on what it receives. Arguments: API, gateway, subscriber, transport, `max_concurrency`.

As its README advises: the extra `speedups`, uvloop, `python -OO`. And no cache, no member chunks, few
intents. `ShardPayloadEvent` has the payload parsed, so it is encoded again. It has no sequence number: we
count.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections import Counter

api, _, subscriber, transport, _ = sys.argv[1:]
if transport == "zlib-stream":
    sys.modules["backports.zstd"] = None  # type: ignore[assignment]  # it takes zstd when it can import it

import hikari  # noqa: E402
import orjson  # noqa: E402
from hikari.impl import config  # noqa: E402

from outlet import Outlet  # noqa: E402

with contextlib.suppress(ImportError):
    asyncio.set_event_loop_policy(importlib.import_module("uvloop").EventLoopPolicy())

bot = hikari.GatewayBot(
    "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.not-a-real-token",
    rest_url=api,
    banner=None,
    logs="WARNING",
    intents=hikari.Intents.GUILDS | hikari.Intents.GUILD_MESSAGES | hikari.Intents.MESSAGE_CONTENT,
    auto_chunk_members=False,
    cache_settings=config.CacheSettings(components=hikari.api.CacheComponents.NONE),
)
seqs: Counter[int] = Counter()
outlets: list[Outlet] = []


@bot.listen()
async def starting(_: hikari.StartingEvent) -> None:
    """Connect before the first shard does."""
    outlets.append(await Outlet.open(subscriber))


@bot.listen()
async def payload(event: hikari.ShardPayloadEvent) -> None:
    """Hand on each dispatch."""
    shard = event.shard.id
    seqs[shard] += 1
    outlets[0].put(shard, seqs[shard], event.name.encode(), orjson.dumps(event.payload, default=dict))


bot.run(check_for_updates=False)
