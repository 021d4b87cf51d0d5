"""Decides (pure): the minimal plausible answers to what a bot asks over the gateway.

Source: https://docs.discord.com/developers/events/gateway-events#send-events
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gwsimulator import guilds, payloads
from gwsimulator.identify import is_presence
from gwsimulator.payloads import Json, encode
from gwsimulator.vocabulary import Op
from gwsimulator.world import Event, World

ALL_MEMBERS_EVERY_S: Final = 30.0
"""How often all members of a guild may be asked for.

Source: https://docs.discord.com/developers/change-log (2025-08-14)
"""


@dataclass(slots=True)
class Commands:
    """Answers commands; remembers when all members of a guild were last asked for."""

    world: World
    _asked: dict[str, float] = field(default_factory=dict)

    def answer(self, op: int, data: Any, session: str, now: float) -> list[Event] | None:
        """Return the dispatches that follow on a command, or None when its `d` is wrong (4001)."""
        if not isinstance(data, dict):
            return None
        match op:
            case Op.PRESENCE_UPDATE:
                return [] if is_presence(data) else None
            case Op.VOICE_STATE_UPDATE:
                return self._voice(data, session)
            case Op.REQUEST_GUILD_MEMBERS:
                return self._members(data, now)
            case Op.REQUEST_SOUNDBOARD_SOUNDS:
                asked = data.get("guild_ids")
                if not isinstance(asked, list):
                    return None
                return [
                    _own("SOUNDBOARD_SOUNDS", {"soundboard_sounds": [], "guild_id": str(one)})
                    for one in asked
                ]
            case Op.REQUEST_CHANNEL_INFO:
                if "guild_id" not in data:
                    return None
                return [_own("CHANNEL_INFO", {"guild_id": str(data["guild_id"]), "channels": []})]
            case _:
                return None

    def _voice(self, data: Json, session: str) -> list[Event] | None:
        if "guild_id" not in data or "channel_id" not in data:
            return None
        guild_id = str(data["guild_id"])
        state = {
            "user_id": self.world.bot["id"],
            "suppress": False,
            "session_id": session,
            "self_video": False,
            "self_mute": bool(data.get("self_mute")),
            "self_deaf": bool(data.get("self_deaf")),
            "request_to_speak_timestamp": None,
            "mute": False,
            "guild_id": guild_id,
            "deaf": False,
            "channel_id": data["channel_id"],
        }
        told = [_own("VOICE_STATE_UPDATE", state)]
        if data["channel_id"] is not None:
            server = {"token": "voice", "guild_id": guild_id, "endpoint": "voice.localhost:443"}
            told.append(_own("VOICE_SERVER_UPDATE", server))
        return told

    def _members(self, data: Json, now: float) -> list[Event] | None:
        guild_id = data.get("guild_id")
        wanted = data.get("user_ids")
        by_query = isinstance(data.get("query"), str) and isinstance(data.get("limit"), int)
        if guild_id is None or not (by_query or wanted):
            return None
        nonce = {"nonce": data["nonce"]} if len(str(data.get("nonce", ""))) in range(1, 33) else {}
        if by_query and data["query"] == "" and data["limit"] == 0:
            wait_s = self._asked.get(str(guild_id), -ALL_MEMBERS_EVERY_S) + ALL_MEMBERS_EVERY_S - now
            if wait_s > 0:
                meta = {"guild_id": str(guild_id), **nonce}
                return [_own("RATE_LIMITED", {"opcode": 8, "retry_after": round(wait_s, 3), "meta": meta})]
            self._asked[str(guild_id)] = now
        known = str(guild_id).isdigit() and int(guild_id) in self.world.guild_ids
        people = [guilds.user_id(int(guild_id), index) for index in range(3)] if known else []
        dice = self.world.dice
        listed = [
            payloads.backwards({**payloads.member(dice), "user": payloads.user(dice, one)}) for one in people
        ]
        chunk = {
            "not_found": [],
            "members": listed,
            "guild_id": str(guild_id),
            "chunk_index": 0,
            "chunk_count": 1,
        }
        return [_own("GUILD_MEMBERS_CHUNK", {**chunk, **nonce})]


def _own(name: str, data: Json) -> Event:
    """Return a dispatch that needs no intent: it answers this session alone."""
    return Event(name, encode(data), None)
