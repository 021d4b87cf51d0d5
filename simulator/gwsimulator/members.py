"""Decides (pure): what op 8, Request Guild Members, brings.

Source: https://docs.discord.com/developers/events/gateway-events#request-guild-members
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gwsimulator import guilds, payloads
from gwsimulator.payloads import Json, encode
from gwsimulator.sessions import Session
from gwsimulator.vocabulary import Intent
from gwsimulator.world import Event, World

ALL_MEMBERS_EVERY_S: Final = 30.0
"""How often all members of a guild may be asked for.

Source: https://docs.discord.com/developers/change-log (2025-08-14)
"""

_CHUNK: Final = 1000
_MOST_ASKED: Final = 100
_NONCE_BYTES: Final = 32


def is_request(data: Json) -> bool:
    """Say whether the `d` of op 8 has its fields: a guild, and either a query with its limit or ids."""
    wanted = data.get("user_ids")
    by_query = isinstance(data.get("query"), str) and isinstance(data.get("limit"), int)
    by_id = isinstance(wanted, str) or (isinstance(wanted, list) and bool(wanted))
    return isinstance(data.get("guild_id"), str | int) and (by_query or by_id)


def lacks_intent(data: Json, intents: int) -> bool:
    """Say whether a request asks for more than the intents cover: presences, or all members."""
    presences = bool(data.get("presences")) and not intents & Intent.GUILD_PRESENCES
    return presences or (_asks_for_all(data) and not intents & Intent.GUILD_MEMBERS)


def _asks_for_all(data: Json) -> bool:
    return "user_ids" not in data and data["query"] == "" and data["limit"] == 0


@dataclass(slots=True)
class Members:
    """Answers requests; remembers when all members of a guild were last asked for."""

    world: World
    _asked: dict[tuple[str, str], float] = field(default_factory=dict)

    def answer(self, data: Json, session: Session, now: float) -> list[Event]:
        """Return the chunks, or RATE_LIMITED."""
        guild_id = str(data["guild_id"])
        echo: Json = {"nonce": data["nonce"]} if _is_nonce(data.get("nonce")) else {}
        if _asks_for_all(data):
            wait_s = self._wait_s(guild_id, session, now)
            if wait_s > 0:
                told = {"opcode": 8, "retry_after": round(wait_s, 3), "meta": {"guild_id": guild_id, **echo}}
                return [Event("RATE_LIMITED", encode(told), None)]
        found, not_found = self._find(data, guild_id)
        chunks = [found[start : start + _CHUNK] for start in range(0, len(found), _CHUNK)] or [[]]
        return [
            self._chunk(
                chunk,
                {
                    "not_found": not_found,
                    "guild_id": guild_id,
                    "chunk_index": index,
                    "chunk_count": len(chunks),
                    **echo,
                },
                presences=bool(data.get("presences")),
            )
            for index, chunk in enumerate(chunks)
        ]

    def _wait_s(self, guild_id: str, session: Session, now: float) -> float:
        """Return how long the next request for all members has to wait; 0: it need not, and counts."""
        who = session.id if self.world.settings.members_limit_per == "session" else ""
        wait_s = self._asked.get((who, guild_id), -ALL_MEMBERS_EVERY_S) + ALL_MEMBERS_EVERY_S - now
        if wait_s <= 0:
            self._asked[who, guild_id] = now
        return max(0.0, wait_s)

    def _find(self, data: Json, guild_id: str) -> tuple[list[int], list[str | int]]:
        """Return the members that are asked for, and the ids that nobody has."""
        known = _is_number(guild_id) and int(guild_id) in self.world.guild_ids
        size = self.world.settings.guild_size
        count = self.world.settings.guild_members if size is None else size
        people = [guilds.user_id(int(guild_id), index) for index in range(count)] if known else []
        wanted = data.get("user_ids")
        if wanted is None:
            if _asks_for_all(data):
                return people, []
            starts = data["query"].lower()
            named = [one for one in people if payloads.username(one).startswith(starts)]
            return named[: min(data["limit"] or _MOST_ASKED, _MOST_ASKED)], []
        asked = [str(one) for one in (wanted if isinstance(wanted, list) else [wanted])][:_MOST_ASKED]
        there = {str(one) for one in people}
        return [int(one) for one in asked if one in there], [
            _as_told(one) for one in asked if one not in there
        ]

    def _chunk(self, people: list[int], fields: Json, *, presences: bool) -> Event:
        dice = self.world.dice
        listed = [
            payloads.backwards({**payloads.member(dice), "user": payloads.user(dice, one)}) for one in people
        ]
        seen = [payloads.presence(dice, int(fields["guild_id"]), one) for one in people] if presences else []
        shown: Json = {"presences": seen} if presences else {}
        return Event("GUILD_MEMBERS_CHUNK", encode({**fields, "members": listed, **shown}), None)


def _is_nonce(value: Any) -> bool:
    """Say whether a nonce is echoed; a longer one is ignored without a word."""
    return value is not None and len(str(value).encode()) in range(1, _NONCE_BYTES + 1)


def _as_told(user_id: str) -> str | int:
    """Return an id that nobody has as `not_found` tells it: as a number when it can't be a snowflake.

    Source: https://docs.discord.com/developers/reference#snowflakes
    """
    return int(user_id) if _is_number(user_id) and int(user_id) < 1 << 22 else user_id


def _is_number(text: str) -> bool:
    """Say whether a text is the digits of an id; more than 20 are none."""
    return text.isascii() and text.isdecimal() and len(text) <= 20
