"""Decides (pure): the bot, its guilds, and the events that happen in them, from a seed.

Events come from a pool per shard, encoded once; each gets an id of its own when it happens, so that making
one costs a few microseconds and still no two messages have the same id.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gwsimulator import guilds, payloads
from gwsimulator.payloads import Json
from gwsimulator.settings import Settings
from gwsimulator.snowflakes import Mint, guild_snowflakes, shard_of, snowflake

_POOL: Final = 256

_CHAT: Final = {
    "MESSAGE_CREATE": 50,
    "TYPING_START": 24,
    "VOICE_STATE_UPDATE": 8,
    "MESSAGE_REACTION_ADD": 8,
    "MESSAGE_UPDATE": 6,
    "MESSAGE_DELETE": 2,
    "GUILD_MEMBER_UPDATE": 2,
}
_MIXES: Final = {
    "chat": _CHAT,
    "presence": {"PRESENCE_UPDATE": 500, **_CHAT},
    "guilds": {"CHANNEL_UPDATE": 4, "GUILD_ROLE_UPDATE": 3, "GUILD_MEMBER_ADD": 3, "GUILD_MEMBER_UPDATE": 2},
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, ready to be sent. `d` is JSON."""

    name: str
    d: bytes
    guild_id: int | None
    d_without_content: bytes | None = None
    """For bots without MESSAGE_CONTENT; None: the same."""


@dataclass(frozen=True, slots=True)
class _Template:
    name: str
    guild_id: int
    parts: tuple[bytes, bytes]
    parts_without_content: tuple[bytes, bytes] | None


_ID: Final = 4_242_424_242_424_242_424
"""Stands for the id that each event gets when it happens."""


def without_content(message: Json, bot_id: str) -> Json:
    """Return the message as a bot without MESSAGE_CONTENT gets it: whole if it concerns the bot itself.

    Source: https://docs.discord.com/developers/events/gateway#message-content-intent
    """
    mentioned = any(one["id"] == bot_id for one in message.get("mentions", []))
    if "guild_id" not in message or mentioned or message.get("author", {}).get("id") == bot_id:
        return message
    emptied: Json = {"content": "", "embeds": [], "attachments": [], "components": []}
    return {key: emptied.get(key, value) for key, value in message.items() if key != "poll"}


@dataclass(slots=True)
class World:
    """The bot and its guilds; the same for the same settings."""

    settings: Settings
    guild_ids: list[int] = field(init=False)
    bot: Json = field(init=False)
    dice: random.Random = field(init=False)
    _mint: Mint = field(default_factory=Mint)
    _pools: dict[int, _Pool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Draw the guilds and the bot."""
        self.dice = random.Random(self.settings.seed)
        self.guild_ids = guild_snowflakes(self.settings.guilds, self.settings.shards, self.dice)
        bot_id = snowflake(1_600_000_000_000, 4097)
        self.bot = {
            **payloads.user(self.dice, bot_id, bot=True),
            "username": "simulated",
            "global_name": None,
        }

    def guilds_of(self, shard: int, shards: int) -> list[int]:
        """Return the ids of the guilds on a shard, whatever the shard count."""
        return [guild_id for guild_id in self.guild_ids if shard_of(guild_id, shards) == shard]

    def ready(self, session: str, resume_url: str, shard: tuple[int, int]) -> bytes:
        """Return the `d` of READY."""
        stubs = self.guilds_of(*shard)
        dice = self.dice
        return payloads.encode(
            guilds.ready(
                dice, session=session, resume_url=resume_url, shard=shard, bot=self.bot, guild_ids=stubs
            )
        )

    def guild_create(self, guild_id: int) -> Event:
        """Return the GUILD_CREATE of a guild; the same bytes each time."""
        dice = random.Random(guild_id ^ self.settings.seed)
        members, channels = self.settings.guild_members, self.settings.guild_channels
        size = members if self.settings.guild_size is None else self.settings.guild_size
        made = guilds.guild(dice, guild_id, members=members, size=size, channels=channels, bot=self.bot)
        return Event("GUILD_CREATE", payloads.encode(made), guild_id)

    def guild_stub(self, guild_id: int, name: str) -> Event:
        """Return a GUILD_CREATE or GUILD_DELETE that says only that the guild is unavailable."""
        return Event(name, payloads.encode({"unavailable": True, "id": str(guild_id)}), guild_id)

    def happening(self, shard: int) -> Event | None:
        """Return the next event of the mix in a guild of this shard; None when it has no guild."""
        pool = self._pools.get(shard)
        if pool is None:
            own = self.guilds_of(shard, self.settings.shards)
            pool = self._pools[shard] = _Pool(own, self.bot, random.Random(f"{self.settings.seed}/{shard}"))
        if not pool.guild_ids:
            return None
        template = pool.next(_MIXES[self.settings.mix])
        new_id = str(self._mint.new()).encode()
        bare = template.parts_without_content
        return Event(
            template.name,
            new_id.join(template.parts),
            template.guild_id,
            new_id.join(bare) if bare else None,
        )


@dataclass(slots=True)
class _Pool:
    """A shard's templates: made one by one, and from the last on used again."""

    guild_ids: list[int]
    bot: Json
    dice: random.Random
    templates: list[_Template] = field(default_factory=list)
    turn: int = -1

    def next(self, mix: dict[str, int]) -> _Template:
        self.turn = (self.turn + 1) % _POOL
        if self.turn == len(self.templates):
            (name,) = self.dice.choices(list(mix), list(mix.values()))
            guild_id = self.dice.choice(self.guild_ids)
            made = _MAKERS[name](self.dice, guild_id)
            if "mentions" in made and self.dice.random() < 0.05:
                made["mentions"] = [self.bot]
            bare = without_content(made, self.bot["id"]) if "content" in made else None
            self.templates.append(_Template(name, guild_id, _split(made), _split(bare) if bare else None))
        return self.templates[self.turn]


def _split(fields: Json) -> tuple[bytes, bytes]:
    """Cut the encoded object where its new id goes; at the start of its braces when it has none."""
    head, found, tail = payloads.encode(fields).partition(str(_ID).encode())
    if not found:  # an id nobody asks for: it only makes each event unlike the others
        return b'{"x_event":"', b'",' + head[1:]
    return head, tail


def _text(guild_id: int) -> int:
    return guilds.channel_id(guild_id, 0)


def _someone(dice: random.Random, guild_id: int) -> int:
    return guilds.user_id(guild_id, dice.randrange(3))


def _message(dice: random.Random, guild_id: int) -> Json:
    return payloads.message(dice, _ID, _text(guild_id), guild_id, _someone(dice, guild_id))


def _edited(dice: random.Random, guild_id: int) -> Json:
    return {**_message(dice, guild_id), "edited_timestamp": payloads.STAMP}


def _deleted(_: random.Random, guild_id: int) -> Json:
    return {"id": str(_ID), "channel_id": str(_text(guild_id)), "guild_id": str(guild_id)}


def _typing(dice: random.Random, guild_id: int) -> Json:
    return payloads.typing(dice, _text(guild_id), guild_id, _someone(dice, guild_id))


def _presence(dice: random.Random, guild_id: int) -> Json:
    return payloads.presence(dice, guild_id, _someone(dice, guild_id))


def _voice(dice: random.Random, guild_id: int) -> Json:
    return payloads.voice_state(dice, guild_id, guilds.channel_id(guild_id, 3), _someone(dice, guild_id))


def _reaction(dice: random.Random, guild_id: int) -> Json:
    return payloads.reaction(dice, _text(guild_id), guild_id, _someone(dice, guild_id), _ID)


def _member(dice: random.Random, guild_id: int) -> Json:
    who = payloads.user(dice, _someone(dice, guild_id))
    return payloads.backwards({**payloads.member(dice), "user": who, "guild_id": str(guild_id)})


def _channel(dice: random.Random, guild_id: int) -> Json:
    return {**guilds.channel(dice, guild_id, 0, voice=False), "guild_id": str(guild_id)}


def _role(dice: random.Random, guild_id: int) -> Json:
    return {"role": guilds.role(dice, guild_id + 5, "mods", 1), "guild_id": str(guild_id)}


_MAKERS: Final[dict[str, Callable[[random.Random, int], Json]]] = {
    "MESSAGE_CREATE": _message,
    "MESSAGE_UPDATE": _edited,
    "MESSAGE_DELETE": _deleted,
    "TYPING_START": _typing,
    "PRESENCE_UPDATE": _presence,
    "VOICE_STATE_UPDATE": _voice,
    "MESSAGE_REACTION_ADD": _reaction,
    "GUILD_MEMBER_ADD": _member,
    "GUILD_MEMBER_UPDATE": _member,
    "CHANNEL_UPDATE": _channel,
    "GUILD_ROLE_UPDATE": _role,
}
