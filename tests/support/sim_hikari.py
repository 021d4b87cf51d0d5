"""hikari, unchanged but for the address: prints what it sees. Argument: API."""

from __future__ import annotations

import sys

import hikari


def main() -> None:
    """Run until killed."""
    bot = hikari.GatewayBot(
        "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE.not-a-real-token",
        rest_url=sys.argv[1],
        banner=None,
        intents=hikari.Intents.GUILDS | hikari.Intents.GUILD_MESSAGES | hikari.Intents.MESSAGE_CONTENT,
    )

    @bot.listen()
    async def ready(event: hikari.ShardReadyEvent) -> None:
        print("ready", event.shard.id, flush=True)  # noqa: T201

    @bot.listen()
    async def available(_: hikari.GuildAvailableEvent) -> None:
        print("guilds", len(bot.cache.get_available_guilds_view()), flush=True)  # noqa: T201

    @bot.listen()
    async def resumed(event: hikari.ShardResumedEvent) -> None:
        print("resumed", event.shard.id, flush=True)  # noqa: T201

    @bot.listen()
    async def message(event: hikari.GuildMessageCreateEvent) -> None:
        assert event.content
        print("message", event.shard.id, event.message_id, flush=True)  # noqa: T201

    bot.run(check_for_updates=False)


if __name__ == "__main__":
    main()
