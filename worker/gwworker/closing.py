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
    """What follows, and the least wait before dialing again, in seconds."""

    action: Action
    floor_s: float = 0.0


RULES: Final[dict[int, Rule]] = {
    4000: Rule(Action.RESUME),
    4001: Rule(Action.IDENTIFY, 1.0),
    4002: Rule(Action.RESUME),
    4003: Rule(Action.IDENTIFY, 1.0),
    4004: Rule(Action.REFUSE_CLUSTER),
    4005: Rule(Action.RESUME, 1.0),
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


def rule_for(code: int | None) -> Rule:
    """Return what follows a close code; None is a connection that ended without one.

    Codes that no document names try RESUME: a refused RESUME costs nothing, an IDENTIFY is one of a
    thousand a day.
    """
    if code is None:
        return Rule(Action.RESUME)
    return RULES.get(code, Rule(Action.RESUME))
