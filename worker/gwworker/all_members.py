"""When all members of a guild may be asked for again (pure).

Sources:
    https://docs.discord.com/developers/events/gateway-events#request-guild-members
    https://docs.discord.com/developers/events/gateway-events#rate-limited
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from gwcluster.discord import ALL_MEMBERS_SPACING_S, Op

_MAX_GUILDS: Final = 2_048
"""How many are remembered before those whose time has passed are forgotten."""

MAX_RETRY_AFTER_S: Final = 3_600.0
"""A longer wait is not believed."""


@dataclass(frozen=True, slots=True)
class Objection:
    """RATE_LIMITED in answer to a request for all members of a guild.

    Attributes:
        nonce: of the request, if it had one.
    """

    guild_id: str
    nonce: str | None
    retry_after_s: float


def parse_objection(payload: bytes) -> Objection | None:
    """Return what a RATE_LIMITED dispatch objects to, None if that is nothing we know."""
    try:
        data: Any = json.loads(payload)["d"]
        opcode, wait_s, meta = data["opcode"], float(data["retry_after"]), data["meta"]
        guild_id, nonce = str(meta["guild_id"]), meta.get("nonce")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    if opcode != Op.REQUEST_GUILD_MEMBERS or not 0.0 <= wait_s < math.inf:
        return None
    return Objection(guild_id, nonce if isinstance(nonce, str) else None, min(wait_s, MAX_RETRY_AFTER_S))


class AllMembers:
    """The spacing of requests for all members, per guild; all times are monotonic seconds.

    Discord counts per bot, not per connection, so this outlives connections.
    """

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}

    def wait_s(self, guild_id: str, now: float) -> float:
        """Return the seconds until that guild may be asked for, 0.0 if it may now.

        While an earlier request hasn't left yet, nobody knows; a whole spacing is said then.
        """
        free_at = self._free_at.get(guild_id, now)
        return ALL_MEMBERS_SPACING_S if free_at == math.inf else max(0.0, free_at - now)

    def claim(self, guild_id: str, now: float) -> None:
        """A request was accepted; it has the guild to itself until it is `written` or `released`."""
        if len(self._free_at) >= _MAX_GUILDS:
            self._free_at = {guild: at for guild, at in self._free_at.items() if at > now}
        self._free_at[guild_id] = math.inf

    def released(self, guild_id: str) -> None:
        """The request won't leave."""
        del self._free_at[guild_id]

    def written(self, guild_id: str, now: float) -> None:
        """The request left."""
        self._free_at[guild_id] = now + ALL_MEMBERS_SPACING_S

    def refused(self, guild_id: str, retry_after_s: float, now: float) -> None:
        """Discord said when it may be asked again; it knows of requests that we don't."""
        self._free_at[guild_id] = now + retry_after_s
