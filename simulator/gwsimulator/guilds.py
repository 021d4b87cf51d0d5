"""Decides (pure): READY, GUILD_CREATE and what a guild is made of.

Source: https://docs.discord.com/developers/resources/guild
"""

from __future__ import annotations

import json
import random
from typing import Any

from gwsimulator.payloads import STAMP, Json, a_hash, backwards, member, user, words


def channel_id(guild_id: int, index: int) -> int:
    """Return the id of a guild's channel: 0 is text, the last one voice."""
    return guild_id + ((index + 1) << 22)


def user_id(guild_id: int, index: int) -> int:
    """Return the id of a guild's member; 0 is its owner."""
    return guild_id - ((index + 1) << 23)


def role(dice: random.Random, role_id: int, name: str, position: int) -> Json:
    """Return a role, ~270 bytes."""
    colors = {"tertiary_color": None, "secondary_color": None, "primary_color": 0}
    return backwards(
        {
            "version": 1_767_225_600_000,
            "unicode_emoji": None,
            "tags": {},
            "position": position,
            "permissions": str(dice.getrandbits(49)),
            "name": name,
            "mentionable": False,
            "managed": False,
            "id": str(role_id),
            "icon": None,
            "hoist": False,
            "flags": 0,
            "colors": colors,
            "color": 0,
        }
    )


def channel(dice: random.Random, guild_id: int, index: int, *, voice: bool) -> Json:
    """Return a channel, ~400 bytes, without `guild_id`, as GUILD_CREATE has it."""
    overwrite = {"type": 0, "id": str(guild_id), "deny": "0", "allow": str(dice.getrandbits(40))}
    fields: Json = {
        "version": 1_767_225_600_000,
        "type": 2 if voice else 0,
        "topic": None if voice else words(dice, 3, 8),
        "rate_limit_per_user": 0,
        "position": index,
        "permission_overwrites": [overwrite],
        "parent_id": None,
        "nsfw": False,
        "name": f"voice-{index}" if voice else f"general-{index}",
        "last_message_id": str(channel_id(guild_id, index) + (77 << 22)),
        "id": str(channel_id(guild_id, index)),
        "icon_emoji": {"name": "👋", "id": None},
        "flags": 0,
    }
    return backwards({**fields, "user_limit": 0, "rtc_region": None, "bitrate": 64000} if voice else fields)


def guild(dice: random.Random, guild_id: int, *, members: int, size: int, channels: int, bot: Json) -> Json:
    """Return a GUILD_CREATE for a guild that the bot is in; ~4 KB with three members and four channels.

    More than 32 keys, so in no order at all: captures of such maps differ from each other.
    """
    people = [
        backwards({**member(dice), "roles": [], "user": user(dice, user_id(guild_id, index))})
        for index in range(members)
    ]
    me = backwards({**member(dice), "roles": [], "nick": None, "user": bot})
    fields: Json = {
        "id": str(guild_id),
        "name": f"Guild {guild_id % 9973} of {words(dice, 1, 3)}",
        "owner_id": str(user_id(guild_id, 0)),
        "member_count": size + 1,
        "members": [*people, me],
        "channels": [
            channel(dice, guild_id, index, voice=index > 0 and index == channels - 1)
            for index in range(channels)
        ],
        "roles": [role(dice, guild_id, "@everyone", 0), role(dice, guild_id + 5, "mods", 1)],
        "features": ["COMMUNITY", "NEWS", "INVITE_SPLASH"],
        "joined_at": STAMP,
        "guild_hashes": {
            part: {"omitted": False, "hash": a_hash(dice)[:11]}
            for part in ("version", "roles", "metadata", "channels")
        },
        **dict.fromkeys(_EMPTY_LISTS.split()),
        **dict.fromkeys(_NULLS.split()),
        **_CONSTANTS,
        "large": size > 50,
    }
    for name in _EMPTY_LISTS.split():
        fields[name] = []
    keys = list(fields)
    dice.shuffle(keys)
    return {key: fields[key] for key in keys}


_EMPTY_LISTS = (
    "emojis stickers voice_states threads presences stage_instances guild_scheduled_events soundboard_sounds "
    "embedded_activities"
)
_NULLS = (
    "icon splash discovery_splash banner afk_channel_id application_id system_channel_id rules_channel_id "
    "public_updates_channel_id safety_alerts_channel_id max_presences vanity_url_code description hub_type "
    "home_header inventory_settings latest_onboarding_question_id incidents_data"
)
_CONSTANTS: Json = {
    "region": "deprecated",
    "afk_timeout": 300,
    "verification_level": 1,
    "default_message_notifications": 1,
    "explicit_content_filter": 2,
    "mfa_level": 0,
    "system_channel_flags": 0,
    "max_members": 25_000_000,
    "max_video_channel_users": 25,
    "max_stage_video_channel_users": 50,
    "premium_tier": 0,
    "premium_subscription_count": 0,
    "premium_progress_bar_enabled": False,
    "preferred_locale": "en-US",
    "nsfw_level": 0,
    "nsfw": False,
    "large": False,
    "lazy": True,
    "unavailable": False,
    "application_command_counts": {"1": 4, "2": 1, "3": 1},
    "version": 1_767_225_600_000,
}


def trace(dice: random.Random) -> list[str]:
    """Return the `_trace` of READY, ~1.6 KB: JSON within a string."""
    steps: list[Any] = []
    for name in ("validate_token", "fetch_user", "connect_session", "sessions_connect", "start_session") * 4:
        steps += [
            f"{name}_{dice.randrange(99)}",
            {"micros": dice.randrange(90_000), "calls": ["etf", {"micros": 8}]},
        ]
    return [json.dumps(["gateway-prd-us-east1-c-xr0k", {"micros": dice.randrange(250_000), "calls": steps}])]


def ready(
    dice: random.Random,
    *,
    session: str,
    resume_url: str,
    shard: tuple[int, int],
    bot: Json,
    guild_ids: list[int],
) -> Json:
    """Return READY: ~2.4 KB and 47 bytes for each guild, which is only a stub yet."""
    me = backwards({**bot, "verified": True, "mfa_enabled": True, "flags": 0, "email": None})
    return backwards(
        {
            "v": 10,
            "user_settings": {},
            "user": me,
            "shard": list(shard),
            "session_type": "normal",
            "session_id": session,
            "resume_gateway_url": resume_url,
            "relationships": [],
            "private_channels": [],
            "presences": [],
            "guilds": [{"unavailable": True, "id": str(guild_id)} for guild_id in guild_ids],
            "guild_join_requests": [],
            "geo_ordered_rtc_regions": ["us-east", "us-central", "us-south", "us-west"],
            "game_relationships": [],
            "auth": {},
            "application": {"id": bot["id"], "flags": 565_248},
            "_trace": trace(dice),
        }
    )
