"""One question to a cluster (pure): which host it goes to, and what a lost connection means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from gwcluster.client.host import Host
from gwcluster.client.roster import Roster

ANOTHER_S: Final = 2.0
"""After so long without an answer another host is asked, if the question may be asked twice."""

RETRY_S: Final = 0.5
"""How often to look whether it is another's turn, or hosts have to be looked for."""

ONCE: Final = frozenset({"send", "restart", "drain"})
"""What may have been done though no answer came."""


class Asking:
    """One question.

    Args:
        op: of the request.
        fields: its keys.
        roster: the hosts.

    Attributes:
        host: who was asked last; None: nobody yet.
    """

    def __init__(self, op: str, fields: Mapping[str, Any], roster: Roster) -> None:
        self.op = op
        self.host: Host | None = None
        self._shard = shard_in(fields, roster.count)
        self._of_one = op == "drain" or (op == "restart" and self._shard is None)
        self._roster = roster
        self._next_at = 0.0

    def turn(self, up: Collection[Host], now: float) -> Host | None:
        """Return whom to send it to now; None: nobody, it is somebody's already or nobody is connected.

        Args:
            up: those with whom there is a connection. A cluster of one host need not be there yet.
        """
        roster = self._roster
        if self.host is not None:
            if not roster.several or self.op in ONCE or now < self._next_at:
                return None
            roster.unwell(self.host, now)
        host = roster.given[0] if self._of_one else roster.pick(self._shard, now, up)
        if host is None or (roster.several and host not in up):
            return None
        self.host = host
        self._next_at = now + ANOTHER_S
        return host

    def lost(self, host: Host) -> bool:
        """Take it that the connection to this host was lost; say whether nobody knows the question's fate."""
        if self.host != host:
            return False
        if self.op in ONCE:
            return True
        self.host = None
        return False


def shard_in(fields: Mapping[str, Any], count: int | None) -> int | None:
    """Return which shard a request is about, as far as that can be told.

    Args:
        count: of the bot's shards; None: not known.
    """
    shard, guild = fields.get("shard"), fields.get("guild_id")
    if type(shard) is int:
        return shard
    if count is not None and isinstance(guild, str) and guild.isdecimal() and len(guild) <= 20:
        return (int(guild) >> 22) % count
    return None
