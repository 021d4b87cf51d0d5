"""What a command must look like before it may leave (pure): Discord ends sessions over wrong ones.

A wrong payload costs the connection (4002) or the session (4001), so everything that can be known here
is checked here. Keys that we don't know pass: Discord adds some now and then.

Sources:
    https://docs.discord.com/developers/events/gateway-events#send-events
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gwcluster.discord import INTENTS, MEMBER_IDS, NONCE_BYTES, SEND_BYTES, Op, snowflake
from gwcluster.errors import GwclusterError, quoted
from gwcluster.wire.refusals import Refusal

_GUILD_MEMBERS: Final = INTENTS["GUILD_MEMBERS"]
_STATUSES: Final = ("online", "dnd", "idle", "invisible", "offline")
_Fields = dict[str, Any]


class CommandRefusedError(GwclusterError):
    """A command that must not be sent; tell its caller.

    Attributes:
        code: one of BAD_REQUEST, TOO_LARGE, FORBIDDEN_OPCODE.
    """

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Checked:
    """A command that Discord will understand.

    Attributes:
        op: its opcode.
        payload: the exact bytes to send.
        all_members_of: the guild, as a string, of whose members it wants all; None for other commands.
        nonce: of a request for members.
    """

    op: Op
    payload: bytes
    all_members_of: str | None = None
    nonce: str | None = None


def check(op: object, d: object, *, intents: int) -> Checked:
    """Return the command with every id a string and its presence complete.

    Args:
        op: opcode, `d`: its data; both as a bot gave them.
        intents: of the session on which it is to leave.

    Raises:
        CommandRefusedError: it must not be sent; code and message are for the caller.
    """
    rule = None if isinstance(op, bool) or not isinstance(op, int) else _RULES.get(op)
    if rule is None or not isinstance(op, int):
        allowed = ", ".join(str(int(one)) for one in _RULES)
        raise CommandRefusedError(
            Refusal.FORBIDDEN_OPCODE, f"opcode {quoted(op)}; a bot may send those of {allowed}"
        )
    if not isinstance(d, dict):
        raise _bad("d", d, "a map")
    fields = rule(d)
    if op == Op.REQUEST_GUILD_MEMBERS and fields.get("query") == "" and not intents & _GUILD_MEMBERS:
        raise CommandRefusedError(
            Refusal.BAD_REQUEST,
            'd.query is "", which Discord answers only with the intent GUILD_MEMBERS; it is not configured',
        )
    payload = _encoded(op, fields)
    if len(payload) > SEND_BYTES:
        raise CommandRefusedError(
            Refusal.TOO_LARGE, f"{len(payload)} bytes of JSON; Discord takes at most {SEND_BYTES}"
        )
    everybody = op == Op.REQUEST_GUILD_MEMBERS and fields.get("query") == "" and fields["limit"] == 0
    return Checked(Op(op), payload, fields["guild_id"] if everybody else None, fields.get("nonce"))


def _encoded(op: int, fields: _Fields) -> bytes:
    try:
        text = json.dumps({"op": op, "d": fields}, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        said = str(error) or type(error).__name__
        raise CommandRefusedError(Refusal.BAD_REQUEST, f"d can't be written as JSON: {said[:80]}") from error


def _presence(d: _Fields) -> _Fields:
    """Incomplete ones are refused with 4001, so what is missing is what a fresh bot would have."""
    fields = {"since": None, "activities": [], "status": "online", "afk": False, **d}
    if isinstance(fields["since"], float) and fields["since"].is_integer():
        fields["since"] = int(fields["since"])  # discord.py sends 0.0
    if fields["since"] is not None and not _is_count(fields["since"]):
        raise _bad("d.since", fields["since"], "null or milliseconds since 1970")
    if fields["status"] not in _STATUSES:
        raise _bad("d.status", fields["status"], f"one of {', '.join(_STATUSES)}")
    _want(fields, "afk", bool, "true or false")
    _want(fields, "activities", list, "a list")
    for index, activity in enumerate(fields["activities"]):
        where = f"d.activities[{index}]"
        if not isinstance(activity, dict):
            raise _bad(where, activity, 'a map such as {"name": "chess", "type": 0}')
        if not isinstance(activity.get("name"), str) or not activity["name"]:
            raise _bad(f"{where}.name", activity.get("name"), "words")
        if not _is_count(activity.get("type")):
            raise _bad(f"{where}.type", activity.get("type"), "an integer, 0 for “Playing”")
        for key in ("url", "state"):
            if not isinstance(activity.get(key), str | None):
                raise _bad(f"{where}.{key}", activity[key], "words or null")
    return fields


def _voice(d: _Fields) -> _Fields:
    fields = {**d, "guild_id": _snowflake("d.guild_id", d.get("guild_id"))}
    if "channel_id" not in d:
        raise _bad("d.channel_id", None, "a channel's id, or null to leave", missing=True)
    if d["channel_id"] is not None:
        fields["channel_id"] = _snowflake("d.channel_id", d["channel_id"])
    for key in ("self_mute", "self_deaf"):
        _want(fields, key, bool, "true or false")
    return fields


def _members(d: _Fields) -> _Fields:
    fields = {**d, "guild_id": _snowflake("d.guild_id", d.get("guild_id"))}
    if ("query" in d) == ("user_ids" in d):
        raise CommandRefusedError(
            Refusal.BAD_REQUEST, "d needs either query (with limit) or user_ids, and not both"
        )
    if "query" in d:
        _want(fields, "query", str, 'words, or "" for everybody')
    if ("query" in d or "limit" in d) and not _is_count(d.get("limit")):
        wanted = "an integer; 0, with an empty query, for all"
        raise _bad("d.limit", d.get("limit"), wanted, missing="limit" not in d)
    if "user_ids" in d:
        fields["user_ids"] = _user_ids(d["user_ids"])
    if "presences" in d:
        _want(fields, "presences", bool, "true or false")
    if "nonce" in d:
        _want(fields, "nonce", str, "a string")
        size = len(d["nonce"].encode(errors="surrogatepass"))
        if size > NONCE_BYTES:
            raise _bad("d.nonce", d["nonce"], f"at most {NONCE_BYTES} bytes; these are {size}")
    return fields


def _user_ids(value: object) -> str | list[str]:
    if not isinstance(value, list):
        return _snowflake("d.user_ids", value)
    if not 1 <= len(value) <= MEMBER_IDS:
        raise _bad("d.user_ids", value, f"1 to {MEMBER_IDS} ids; these are {len(value)}")
    return [_snowflake(f"d.user_ids[{index}]", one) for index, one in enumerate(value)]


def _sounds(d: _Fields) -> _Fields:
    _want(d, "guild_ids", list, "a list of guilds' ids")
    if not d["guild_ids"]:
        raise _bad("d.guild_ids", [], "at least one guild's id")
    ids = [_snowflake(f"d.guild_ids[{index}]", one) for index, one in enumerate(d["guild_ids"])]
    return {**d, "guild_ids": ids}


def _channel_info(d: _Fields) -> _Fields:
    fields = {**d, "guild_id": _snowflake("d.guild_id", d.get("guild_id"))}
    _want(fields, "fields", list, 'a list such as ["status"]')
    if not d["fields"] or not all(isinstance(one, str) for one in d["fields"]):
        raise _bad("d.fields", d["fields"], 'names such as ["status", "voice_start_time"]')
    return fields


# Not to be extended by configuration: without a rule nothing would be checked, and 4001 costs the session.
_RULES: Final[dict[int, Callable[[_Fields], _Fields]]] = {
    Op.PRESENCE_UPDATE: _presence,
    Op.VOICE_STATE_UPDATE: _voice,
    Op.REQUEST_GUILD_MEMBERS: _members,
    Op.REQUEST_SOUNDBOARD_SOUNDS: _sounds,
    Op.REQUEST_CHANNEL_INFO: _channel_info,
}


def _snowflake(where: str, value: object) -> str:
    """Return an id as the string that Discord wants; integers are taken too, but never floats."""
    number = snowflake(value)
    if number is None:
        raise _bad(where, value, "an id, as a string of digits", missing=value is None)
    return str(number)


def _want(fields: _Fields, key: str, kind: type, wanted: str) -> None:
    if not isinstance(fields.get(key), kind):
        raise _bad(f"d.{key}", fields.get(key), wanted, missing=key not in fields)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _bad(where: str, value: object, wanted: str, *, missing: bool = False) -> CommandRefusedError:
    is_what = "is missing" if missing else f"is {quoted(value)}"
    return CommandRefusedError(Refusal.BAD_REQUEST, f"{where} {is_what}; it should be {wanted}")
