"""Decides (pure): the events of each mix, the same for every connection and every run."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gwsimulator import guilds, payloads
from gwsimulator.snowflakes import guild_snowflakes, snowflake

_YEAR_2026_MS: Final = 1_767_225_600_000
_PARTS: Final = ("assets", "metadata", "party", "details", "sync_id")
"""Of an activity; games have few of them, music has all."""
BOT: Final = payloads.user(random.Random(7), 80_351_110_224_678_912, bot=True)


@dataclass(frozen=True, slots=True)
class Mix:
    """A kind of traffic.

    Attributes:
        names: the events in it.
        chapter: events that are compressed in one go.
        bodies: distinct events; they come again, with new sequence numbers.
        make: makes the `d` of each, given the dice and a number.
        told: guilds that READY announces.
    """

    names: tuple[str, ...]
    chapter: int
    bodies: int
    make: Callable[[random.Random, int], tuple[str, payloads.Json]]
    told: int = 0


def _message(dice: random.Random, number: int) -> tuple[str, payloads.Json]:
    ids = [snowflake(_YEAR_2026_MS + number, dice.randrange(4096)) for _ in range(4)]
    return "MESSAGE_CREATE", payloads.message(dice, *ids)


def _presence(dice: random.Random, number: int) -> tuple[str, payloads.Json]:
    """Nine of ten are presences with an activity, 300 to 750 bytes."""
    guild_id, user_id = (snowflake(_YEAR_2026_MS + number, low) for low in (1, 2))
    match number % 20:
        case 0:
            return _message(dice, number)
        case 1:
            return "TYPING_START", payloads.typing(dice, guild_id + 4, guild_id, user_id)
        case _:
            while not (found := payloads.presence(dice, guild_id, user_id))["activities"]:
                pass
            for part in _PARTS[dice.randrange(len(_PARTS)) :]:
                del found["activities"][0][part]
            return "PRESENCE_UPDATE", found


def _guild(dice: random.Random, guild_id: int, size: float) -> payloads.Json:
    """Return a guild of about `size` bytes: a tenth of it channels, the rest members."""
    channels = max(round(size / 10 / 400), 2)
    members = max(round((size - 3_000 - 400 * channels) / 790), 1)
    return guilds.guild(dice, guild_id, members=members, size=members + 20, channels=channels, bot=BOT)


def _large_guild(dice: random.Random, number: int) -> tuple[str, payloads.Json]:
    """20 to 200 KB, as many small as large ones on a logarithmic scale."""
    return "GUILD_CREATE", _guild(dice, _guild_ids()[number], 20_000 * 10 ** dice.random())


def _any_guild(dice: random.Random, number: int) -> tuple[str, payloads.Json]:
    """4 to 200 KB, half of them below 12, 18 on average: most guilds are small."""
    size = min(max(dice.lognormvariate(9.39, 0.9), 4_000.0), 200_000.0)
    return "GUILD_CREATE", _guild(dice, _guild_ids()[number], size)


@functools.cache
def _guild_ids() -> list[int]:
    return guild_snowflakes(2_500, 1, random.Random(11))


MIXES: Final = {
    "chat": Mix(("MESSAGE_CREATE",), 128, 2_048, _message),
    "presence": Mix(("PRESENCE_UPDATE", "TYPING_START", "MESSAGE_CREATE"), 128, 2_048, _presence),
    "guilds": Mix(("GUILD_CREATE",), 16, 160, _large_guild),
    "start": Mix(("GUILD_CREATE",), 20, 2_500, _any_guild, told=2_500),
}


def bodies(name: str, count: int | None = None) -> list[tuple[bytes, bytes]]:
    """Return name and `d` of the first `count` distinct events of a mix, all unless said."""
    mix = MIXES[name]
    dice = random.Random(name)
    made = (mix.make(dice, number) for number in range(min(count or mix.bodies, mix.bodies)))
    return [(event.encode(), payloads.encode(d)) for event, d in made]


def dispatch(body: tuple[bytes, bytes], seq: int) -> bytes:
    """Return the whole payload of an event."""
    return b'{"t":"%b","s":%d,"op":0,"d":%b}' % (body[0], seq, body[1])


def numbered(distinct: list[tuple[bytes, bytes]], count: int, first_seq: int = 2) -> Iterator[bytes]:
    """Yield `count` dispatches, the bodies over and over; READY is number 1."""
    for index in range(count):
        yield dispatch(distinct[index % len(distinct)], first_seq + index)


def ready(mix: str, session: str, resume_url: str, shard: tuple[int, int]) -> bytes:
    """Return READY as a dispatch."""
    told = _guild_ids()[: MIXES[mix].told]
    d = guilds.ready(
        random.Random(5), session=session, resume_url=resume_url, shard=shard, bot=BOT, guild_ids=told
    )
    return dispatch((b"READY", payloads.encode(d)), 1)
