"""A discord.py bot with listeners and commands, as any other: only its last lines know of gwcluster."""

from __future__ import annotations

import os

import discord
from discord.ext import commands

import gwfeed

intents = discord.Intents(guilds=True, guild_messages=True, message_content=True, voice_states=True)
bot = commands.AutoShardedBot(command_prefix="!", intents=intents)
Context = commands.Context[commands.AutoShardedBot]
messages: dict[int, int] = {}  # guild id: how many


@bot.event
async def on_ready() -> None:
    """Say that the cache is filled."""
    print(f"ready: {len(bot.guilds)} guilds on {len(bot.shards)} shards", flush=True)


@bot.event
async def on_message(message: discord.Message) -> None:
    """Count, and look for a command."""
    if message.guild is not None:
        messages[message.guild.id] = messages.get(message.guild.id, 0) + 1
    await bot.process_commands(message)


@bot.command()
async def guild(ctx: Context) -> None:
    """Say what is known of this guild: out of the cache."""
    assert ctx.guild is not None
    known = f"{ctx.guild.name}: {len(ctx.guild.channels)} channels, {len(ctx.guild.roles)} roles"
    await ctx.send(f"{known}, {messages.get(ctx.guild.id, 0)} messages so far")


@bot.command()
async def play(_ctx: Context, *, what: str) -> None:
    """Show it as what the bot plays."""
    await bot.change_presence(activity=discord.Game(what))


@bot.command()
async def join(ctx: Context, channel: discord.VoiceChannel) -> None:
    """Sit down in a voice channel."""
    assert ctx.guild is not None
    await ctx.guild.change_voice_state(channel=channel, self_deaf=True)


@bot.command()
async def find(ctx: Context, name: str) -> None:
    """Look for members whose names begin so."""
    assert ctx.guild is not None
    found = await ctx.guild.query_members(name, limit=5)
    await ctx.send(", ".join(member.name for member in found) or "nobody")


if __name__ == "__main__":
    token, api = os.environ["DISCORD_TOKEN"], os.environ.get("DISCORD_API")  # the latter of a simulator
    gwfeed.run(bot, "cluster.yaml", cursor="bot.cursor", token=token, api=api)  # was: bot.run(token)
