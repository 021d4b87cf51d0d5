"""The bot of examples/discordpy, unchanged, and a listener that prints. Arguments: where its REST is.

It runs in the folder of a cluster, as the example does.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "discordpy"))

import discord

import bot
import gwcluster
import gwfeed


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


async def on_message(message: discord.Message) -> None:
    """Say what a bot sees of a message, out of the cache, too."""
    assert message.guild is not None
    assert isinstance(message.channel, discord.TextChannel)
    say("message", message.guild.shard_id, message.id, message.channel.name, "in", message.guild.name)


async def on_guild_available(guild: discord.Guild) -> None:
    say("available", guild.id)


async def on_shard_ready(shard: int) -> None:
    say("shard_ready", shard)


async def on_socket_event_type(name: str) -> None:
    say("type", name)


async def on_shard_resumed(shard: int) -> None:
    say("resumed", shard)


async def on_gwcluster_shard_state(event: gwcluster.Event) -> None:
    say("state", event.shard, event.data["state"])


async def on_gwcluster_gap(event: gwcluster.Event) -> None:
    say("gap", event.data)


if __name__ == "__main__":
    for listener in (
        *(on_message, on_guild_available, on_shard_ready, on_shard_resumed, on_socket_event_type),
        *(on_gwcluster_shard_state, on_gwcluster_gap),
    ):
        bot.bot.add_listener(listener)
    gwfeed.run(bot.bot, "cluster.yaml", cursor="bot.cursor", token="abc", api=sys.argv[1])
    say("ended")
