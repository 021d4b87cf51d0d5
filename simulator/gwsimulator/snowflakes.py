"""Decides (pure): snowflakes that look like Discord's and land on the shard one wants."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

DISCORD_EPOCH_MS: Final = 1_420_070_400_000
"""The first second of 2015, UTC. https://docs.discord.com/developers/reference#snowflakes"""

_YEAR_MS: Final = 365 * 24 * 3600 * 1000


def snowflake(unix_ms: int, low: int = 0) -> int:
    """Return the id of something made at `unix_ms`; `low` fills worker, process and increment (22 bits)."""
    return (unix_ms - DISCORD_EPOCH_MS) << 22 | low


def shard_of(guild_id: int, shards: int) -> int:
    """Return the shard that gets the events of this guild.

    Source: https://docs.discord.com/developers/events/gateway#sharding
    """
    return (guild_id >> 22) % shards


def guild_snowflakes(count: int, shards: int, dice: random.Random) -> list[int]:
    """Return `count` distinct guild ids, the i-th of them on shard `i % shards`."""
    found: dict[int, None] = {}
    while len(found) < count:
        since_epoch_ms = dice.randrange(_YEAR_MS, 11 * _YEAR_MS)
        since_epoch_ms += len(found) % shards - since_epoch_ms % shards
        found[since_epoch_ms << 22 | dice.getrandbits(22)] = None
    return list(found)


@dataclass(slots=True)
class Mint:
    """Makes new ids, each later than the one before, from a clock of its own: no two runs differ."""

    unix_ms: int = 1_767_225_600_000  # the first second of 2026
    made: int = 0

    def new(self) -> int:
        """Return the next id, some 7 ms after the one before."""
        self.made += 1
        self.unix_ms += 7
        return snowflake(self.unix_ms, self.made & 0xFFF)
