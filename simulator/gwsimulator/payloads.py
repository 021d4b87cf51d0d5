"""Decides (pure): the `d` of dispatches as Discord's look: keys, their odd order, sizes, nested traps.

Captures show most objects with their keys in reverse alphabetical order, and MESSAGE_CREATE with its own
`guild_id` last, after nested ones of other guilds. JSON gives no such promise; a client that relies on it
should be found out by the objects here that nest `guild_id`, `op`, `t` and `s`.

Sources:
    https://docs.discord.com/developers/events/gateway-events
    https://docs.discord.com/developers/resources/message
"""

from __future__ import annotations

import json
import random
from typing import Any, Final

Json = dict[str, Any]

STAMP: Final = "2026-01-01T12:00:00.123000+00:00"
_LINE: Final = (
    "the raid starts at nine and nobody has brought snacks again so please somebody go and get some before "
    'we leave 🎮 über naïve façade «quoted» back\\slash "inner" https://example.com/watch?v=abc&t=42 lol '
    'look: {"t":"READY","s":999,"op":0} done 日本'
)
_WORDS: Final = _LINE.split()
_TRAITS: Final = {"t": 1, "s": 7, "op": 11, "guild_id": "1"}


def encode(value: Any) -> bytes:
    """Return compact JSON in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def backwards(fields: Json) -> Json:
    """Return the fields in reverse alphabetical order."""
    return dict(sorted(fields.items(), reverse=True))


def words(dice: random.Random, low: int, high: int) -> str:
    """Return a line of chat."""
    return " ".join(dice.choices(_WORDS, k=dice.randint(low, high)))


def a_hash(dice: random.Random) -> str:
    """Return something like an avatar's hash."""
    return f"{dice.getrandbits(128):032x}"


def username(user_id: int) -> str:
    """Return the name of the user with this id."""
    return f"user_{user_id % 99991}"


def user(dice: random.Random, user_id: int, *, bot: bool = False) -> Json:
    """Return a user, ~450 bytes."""
    name = username(user_id)
    other_guild = str(user_id ^ (0x2A << 30))
    fields = {
        "username": name,
        "public_flags": dice.choice((0, 64, 256, 4194304)),
        "primary_guild": backwards(
            {"tag": "RAID", "identity_guild_id": other_guild, "identity_enabled": True, "badge": a_hash(dice)}
        ),
        "id": str(user_id),
        "global_name": name.title(),
        "display_name_styles": None,
        "discriminator": "0",
        "collectibles": None,
        "clan": None,
        "avatar_decoration_data": None,
        "avatar": a_hash(dice),
    }
    return backwards({**fields, "bot": True} if bot else fields)


def member(dice: random.Random) -> Json:
    """Return a guild member without its user, ~300 bytes."""
    return backwards(
        {
            "roles": [str(dice.getrandbits(59)) for _ in range(dice.randint(0, 4))],
            "premium_since": None,
            "pending": False,
            "nick": dice.choice((None, "Captain", "Zoë")),
            "mute": False,
            "joined_at": STAMP,
            "flags": 0,
            "deaf": False,
            "communication_disabled_until": None,
            "banner": None,
            "avatar": None,
        }
    )


def message(
    dice: random.Random, message_id: int, channel_id: int, guild_id: int | None, author_id: int
) -> Json:
    """Return a message, ~1 KB; one in eight is a reply that carries another guild's id before its own."""
    fields = {
        "type": 0,
        "tts": False,
        "timestamp": STAMP,
        "pinned": False,
        "nonce": str(message_id + 4096),
        "mentions": [],
        "mention_roles": [],
        "mention_everyone": False,
        "id": str(message_id),
        "flags": 0,
        "embeds": [],
        "edited_timestamp": None,
        "content": words(dice, 2, 30),
        "components": [],
        "channel_type": 0 if guild_id else 1,
        "channel_id": str(channel_id),
        "author": user(dice, author_id),
        "attachments": [],
    }
    if guild_id is not None:
        fields["member"] = member(dice)
    if dice.random() < 0.125:
        fields["message_reference"] = {
            "type": 1,
            "message_id": str(message_id - (9 << 22)),
            "guild_id": str(author_id),
            "channel_id": str(channel_id),
        }
    fields = backwards(fields)
    if guild_id is not None:
        fields["guild_id"] = str(guild_id)
    return fields


def typing(dice: random.Random, channel_id: int, guild_id: int, user_id: int) -> Json:
    """Return TYPING_START, ~700 bytes; its timestamp is in seconds."""
    return backwards(
        {
            "user_id": str(user_id),
            "timestamp": 1_767_268_800 + dice.randrange(86_400),
            "member": backwards({**member(dice), "user": user(dice, user_id)}),
            "channel_id": str(channel_id),
            "guild_id": str(guild_id),
        }
    )


def presence(dice: random.Random, guild_id: int, user_id: int) -> Json:
    """Return PRESENCE_UPDATE, 180 to 700 bytes; activities nest `op`, `t`, `s` and `guild_id`."""
    activities = []
    if dice.random() < 0.5:
        activities.append(
            backwards(
                {
                    "type": 2,
                    "timestamps": {"start": 1_767_268_800_000, "end": 1_767_269_000_000},
                    "sync_id": a_hash(dice)[:22],
                    "state": words(dice, 2, 5),
                    "session_id": a_hash(dice),
                    "party": {"id": f"spotify:{user_id}"},
                    "name": "Spotify",
                    "metadata": _TRAITS,
                    "id": "spotify:1",
                    "flags": 48,
                    "details": words(dice, 2, 6),
                    "created_at": 1_767_268_800_123,
                    "assets": {"large_text": words(dice, 1, 3), "large_image": f"spotify:{a_hash(dice)}"},
                }
            )
        )
    status = dice.choice(("online", "idle", "dnd", "offline"))
    return backwards(
        {
            "user": {"id": str(user_id)},
            "status": status,
            "guild_id": str(guild_id),
            "client_status": {} if status == "offline" else {"desktop": status},
            "activities": activities,
        }
    )


def voice_state(dice: random.Random, guild_id: int, channel_id: int | None, user_id: int) -> Json:
    """Return VOICE_STATE_UPDATE, ~1 KB."""
    return backwards(
        {
            "user_id": str(user_id),
            "suppress": False,
            "session_id": a_hash(dice),
            "self_video": False,
            "self_mute": dice.random() < 0.5,
            "self_deaf": False,
            "request_to_speak_timestamp": None,
            "mute": False,
            "member": backwards({**member(dice), "user": user(dice, user_id)}),
            "guild_id": str(guild_id),
            "deaf": False,
            "channel_id": None if channel_id is None else str(channel_id),
        }
    )


def reaction(dice: random.Random, channel_id: int, guild_id: int, user_id: int, message_id: int) -> Json:
    """Return MESSAGE_REACTION_ADD, ~900 bytes."""
    return backwards(
        {
            "user_id": str(user_id),
            "type": 0,
            "message_id": str(message_id),
            "message_author_id": str(user_id),
            "member": backwards({**member(dice), "user": user(dice, user_id)}),
            "emoji": {"name": dice.choice("🎉🔥👍"), "id": None},
            "channel_id": str(channel_id),
            "burst": False,
            "guild_id": str(guild_id),
        }
    )
