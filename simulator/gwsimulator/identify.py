"""Decides (pure): whether an IDENTIFY is one that Discord accepts, apart from when it comes.

Source: https://docs.discord.com/developers/events/gateway-events#identify
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gwsimulator.records import Rule
from gwsimulator.settings import Settings
from gwsimulator.vocabulary import ALL_INTENTS, CloseCode


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why it is refused: the close code, and the rule's name and detail for the ledger."""

    code: int
    rule: Rule
    detail: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What an accepted IDENTIFY asks for."""

    shard: int
    shards: int
    intents: int


def bare(token: object) -> str:
    """Return the token without the `Bot ` that is also accepted; empty when it is no text."""
    return token.removeprefix("Bot ").strip() if isinstance(token, str) else ""


def named_place(data: dict[str, Any]) -> tuple[int, int] | None:
    """Return the shard id and count that an IDENTIFY names, also impossible ones; None when it names none."""
    match data.get("shard", [0, 1]):
        case [int(shard), int(shards)] if _is_int(shard) and _is_int(shards):
            return shard, shards
        case _:
            return None


def is_large_threshold(data: dict[str, Any]) -> bool:
    """Say whether the large_threshold of an IDENTIFY, or the default, is one."""
    threshold = data.get("large_threshold", 50)
    return _is_int(threshold) and 50 <= threshold <= 250


def judge(
    data: dict[str, Any], settings: Settings, guilds_on: Callable[[tuple[int, int]], int]
) -> Identity | Refusal:
    """Check the fields in the order in which a refusal matters; the token is checked before.

    Args:
        data: the `d` of an IDENTIFY.
        settings: the knobs.
        guilds_on: how many guilds a shard (id, count) has.
    """
    intents = data.get("intents")
    if intents is None:
        return Refusal(CloseCode.INVALID_INTENTS, "missing_intents", "IDENTIFY without intents")
    if not _is_int(intents) or intents < 0 or intents & ~ALL_INTENTS:
        return Refusal(CloseCode.INVALID_INTENTS, "invalid_intents", f"intents {intents!r:.40}")
    if intents & settings.disallowed_intents:
        return Refusal(CloseCode.DISALLOWED_INTENTS, "disallowed_intents", f"intents {intents}")
    place = named_place(data)
    if place is None or not 0 <= place[0] < place[1]:
        return Refusal(CloseCode.INVALID_SHARD, "invalid_shard", f"shard {data['shard']!r:.40}")
    shard, shards = place
    if shards % settings.shard_multiple:
        return Refusal(
            CloseCode.INVALID_SHARD, "shard_multiple", f"{shards} is no multiple of {settings.shard_multiple}"
        )
    guilds = guilds_on(place)
    if guilds > settings.guilds_per_shard_max:
        return Refusal(CloseCode.SHARDING_REQUIRED, "sharding_required", f"{guilds} guilds on one shard")
    properties = data.get("properties")
    if not isinstance(properties, dict):
        code = settings.missing_properties_code
        return Refusal(code, "missing_properties", "IDENTIFY without properties")
    if settings.bad_large_threshold == "close" and not is_large_threshold(data):
        detail = f"large_threshold {data['large_threshold']!r:.40}"
        return Refusal(CloseCode.UNKNOWN_OPCODE, "large_threshold", detail)
    presence = data.get("presence")
    if presence is not None and not is_presence(presence):
        return Refusal(
            CloseCode.UNKNOWN_OPCODE, "bad_presence", "presence without since, activities, status or afk"
        )
    return Identity(shard, shards, intents)


def is_presence(value: object) -> bool:
    """Say whether a presence has all of its fields; Discord answers 4001 when it has not.

    `game` is what `activities` was called before; hikari still sends it, so Discord must still take it.
    """
    if not isinstance(value, dict) or not {"since", "status", "afk"} <= value.keys():
        return False
    return "activities" in value or "game" in value


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
