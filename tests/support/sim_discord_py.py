"""discord.py, unchanged but for the address: prints what it sees. Arguments: API, gateway URL."""

from __future__ import annotations

import sys

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route


def main() -> None:
    """Run until killed."""
    api, gateway = sys.argv[1:]
    Route.BASE = api
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)

    intents = discord.Intents(guilds=True, guild_messages=True, message_content=True)
    client = discord.AutoShardedClient(intents=intents, chunk_guilds_at_startup=False)

    @client.event
    async def on_ready() -> None:
        print("ready", len(client.guilds), flush=True)  # noqa: T201

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
