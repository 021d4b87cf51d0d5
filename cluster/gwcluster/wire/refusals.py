"""Why a command for Discord was not sent (pure): the codes that bots are told."""

from __future__ import annotations

import enum


class Refusal(enum.StrEnum):
    """Error codes of requests.

    NOT_READY: no connection took it in time, or the connection ended while it was being sent.
    RATE_LIMITED: Discord's limits, or ours that keep within them, leave no room.
    TOO_LARGE: more bytes than Discord takes.
    BAD_REQUEST: something in it is missing or wrong.
    FORBIDDEN_OPCODE: nothing that a bot may send.
    UNKNOWN_SHARD: this cluster doesn't run it.
    FORBIDDEN: the client's key is not good for it.
    """

    NOT_READY = "not_ready"
    RATE_LIMITED = "rate_limited"
    TOO_LARGE = "too_large"
    BAD_REQUEST = "bad_request"
    FORBIDDEN_OPCODE = "forbidden_opcode"
    UNKNOWN_SHARD = "unknown_shard"
    FORBIDDEN = "forbidden"
