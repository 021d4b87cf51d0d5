"""Decides (pure): whether an IDENTIFY is one that Discord accepts, apart from when it comes.

Source: https://docs.discord.com/developers/events/gateway-events#identify
"""

from __future__ import annotations

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


def judge(data: dict[str, Any], settings: Settings) -> Identity | Refusal:
    """Check the fields in the order in which a refusal matters; the token is checked before."""
    intents = data.get("intents")
    if intents is None:
        return Refusal(CloseCode.INVALID_INTENTS, "missing_intents", "IDENTIFY without intents")
    if not _is_int(intents) or intents < 0 or intents & ~ALL_INTENTS:
        return Refusal(CloseCode.INVALID_INTENTS, "invalid_intents", f"intents {intents!r:.40}")
    if intents & settings.disallowed_intents:
        return Refusal(CloseCode.DISALLOWED_INTENTS, "disallowed_intents", f"intents {intents}")
    place = data.get("shard", [0, 1])
    if not _is_place(place):
        return Refusal(CloseCode.INVALID_SHARD, "invalid_shard", f"shard {place!r:.40}")
    shard, shards = place
    if shards % settings.shard_multiple:
        return Refusal(
            CloseCode.INVALID_SHARD, "shard_multiple", f"{shards} is no multiple of {settings.shard_multiple}"
        )
    properties = data.get("properties")
    if not isinstance(properties, dict):
        return Refusal(CloseCode.UNKNOWN_OPCODE, "missing_properties", "IDENTIFY without properties")
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


def _is_place(value: object) -> bool:
    match value:
        case [int(shard), int(shards)] if _is_int(shard) and _is_int(shards):
            return 0 <= shard < shards
        case _:
            return False
