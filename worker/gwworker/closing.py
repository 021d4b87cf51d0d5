"""What follows each close code (pure): a table.

Sources:
    https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
    Its "reconnect" column leaves open whether the session survives; `docs/session.md` says how each
    row was decided.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

CLOSE_RESUMABLE: Final = 4900
"""Ours when we leave a session that we want back: anything but 1000 and 1001 keeps it.
https://docs.discord.com/developers/events/gateway#initiating-a-disconnect"""


class Action(enum.Enum):
    """What a worker does about a close code."""

    RESUME = "the session lives on"
    IDENTIFY = "the session is gone; a new one is needed"
    REFUSE_SHARD = "this shard will never be accepted like this"
    REFUSE_CLUSTER = "no shard will ever be accepted like this"


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows a close.

    Attributes:
        action: what to do.
        floor_s: the least wait before dialing again, in seconds.
        tries: how often in a row the session may be resumed after this code, None for no bound.
    """

    action: Action
    floor_s: float = 0.0
    tries: int | None = None


RULES: Final[dict[int, Rule]] = {
    4000: Rule(Action.RESUME),
    4001: Rule(Action.IDENTIFY, 1.0),
    4002: Rule(Action.RESUME),
    4003: Rule(Action.IDENTIFY, 1.0),
    4004: Rule(Action.REFUSE_CLUSTER),
    4005: Rule(Action.RESUME, 1.0, tries=1),
    4006: Rule(Action.IDENTIFY, 1.0),
    4007: Rule(Action.IDENTIFY, 1.0),
    4008: Rule(Action.RESUME, 5.0),
    4009: Rule(Action.IDENTIFY, 1.0),
    4010: Rule(Action.REFUSE_SHARD),
    4011: Rule(Action.REFUSE_SHARD),
    4012: Rule(Action.REFUSE_CLUSTER),
    4013: Rule(Action.REFUSE_CLUSTER),
    4014: Rule(Action.REFUSE_CLUSTER),
}


SENT_AWAY: Final = frozenset({1001, 1012, 4000})
"""Codes by which a gateway that restarts or stumbles asks us to come again: no fault of the session's."""

_UNHEARD_OF: Final = Rule(Action.RESUME, tries=3)


def rule_for(code: int | None) -> Rule:
    """Return what follows a close code; None is a connection that ended without one.

    Codes that no document names try RESUME, as a refused RESUME costs nothing and an IDENTIFY is one of a
    thousand a day; those of Discord's own range not without end.
    """
    if code is None or code < 3000:
        return Rule(Action.RESUME)
    return RULES.get(code, _UNHEARD_OF)
