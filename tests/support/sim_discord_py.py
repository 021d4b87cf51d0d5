"""discord.py, unchanged but for the address: prints what it sees. Arguments: API, gateway URL, compression.

The compression is `zlib` or `zstd`. discord.py has no setting for it: it takes zstd when it can import it.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run until killed."""
    api, gateway, compression = sys.argv[1:]
    if compression == "zlib":
        for name in ("zstandard", "compression.zstd"):
            sys.modules[name] = None  # type: ignore[assignment]  # makes its import fail

    import discord
    import yarl
    from discord.gateway import DiscordWebSocket
    from discord.http import Route

    Route.BASE = api
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)

    intents = discord.Intents(guilds=True, guild_messages=True, message_content=True)
    client = discord.AutoShardedClient(intents=intents, chunk_guilds_at_startup=False)

    @client.event
    async def on_shard_connect(shard_id: int) -> None:
        print("ready", shard_id, flush=True)  # noqa: T201

    @client.event
    async def on_ready() -> None:
        print("guilds", len(client.guilds), flush=True)  # noqa: T201

    @client.event
    async def on_shard_resumed(shard_id: int) -> None:
        print("resumed", shard_id, flush=True)  # noqa: T201

    @client.event
    async def on_message(message: discord.Message) -> None:
        assert message.guild is not None
        assert message.content
        print("message", message.guild.shard_id, message.id, flush=True)  # noqa: T201

    client.run("abc")


if __name__ == "__main__":
    main()
