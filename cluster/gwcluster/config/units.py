"""How settings are written: sizes, durations, fractions, shards, names (pure).

Every function takes a value as YAML gave it and returns what it means, or raises `UnfitError`.
"""

from __future__ import annotations

import re
from typing import Final

from gwcluster.config.problems import UnfitError, nearest
from gwcluster.discord import INTENTS

MAX_SHARDS: Final = 100_000
"""Several times what the largest bots run; keeps a slip like 0-99999999999 from filling the memory."""

MIN_HTTP_TOKEN: Final = 16
MAX_HTTP_TOKEN: Final = 256
"""Characters of the token for HTTP; a longer one doesn't fit into every proxy's headers."""

MAX_TOKEN: Final = 512
"""Several times as long as tokens are."""

MIN_RETENTION_BYTES: Final = 1 << 20

NAME: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"
SIZE: Final = r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)"
DURATION: Final = r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(s|m|h|d)"
PERCENT: Final = r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%"
SHARD_IDS: Final = r"[0-9]{1,6}(-[0-9]{1,6})?( *, *[0-9]{1,6}(-[0-9]{1,6})?)*"
EVENT_NAME: Final = r"[A-Z][A-Z0-9_]{0,63}"
HOST_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
MIN_LEASE_S: Final = 5.0
MAX_LEASE_S: Final = 300.0

_BYTES: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FORMER_INTENTS: Final = {
    "GUILD_BANS": "GUILD_MODERATION",
    "GUILD_EMOJIS": "GUILD_EXPRESSIONS",
    "GUILD_EMOJIS_AND_STICKERS": "GUILD_EXPRESSIONS",
}
_ALL_INTENTS: Final = sum(INTENTS.values())


def text(value: object) -> str:
    """Return a text that is one."""
    if isinstance(value, str):
        return value
    raise UnfitError


def whole(value: object) -> int:
    """Return an integer that is one; `true` is not."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnfitError
    return value


def cluster_name(value: object) -> str:
    """Return a name that is safe as a folder and as a metrics label."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UnfitError("is a number; put it in quotes to make it a name")
    if not isinstance(value, str) or not re.fullmatch(NAME, value):
        raise UnfitError
    return value


def bot_token(value: str) -> str:
    """Return a token without `Bot ` before it. No message repeats any of it."""
    token = value.removeprefix("Bot ")
    if not token:
        raise UnfitError("is empty; write the bot's token there")
    if any(char.isspace() for char in token):
        raise UnfitError("has a space or line break in it; copy the token again, and nothing around it")
    if token[0] in "\"'" or token[-1] in "\"'":
        raise UnfitError("has quotes around it (docker --env-file keeps them); remove them")
    if not token.isascii() or not token.isprintable():
        raise UnfitError("has a character that no token has; copy the token again")
    if len(token) > MAX_TOKEN:
        raise UnfitError(f"is longer than {MAX_TOKEN} characters, which no token is; copy the token again")
    return token


def http_token(value: str) -> str:
    """Return what opens HTTP to an operator. No message repeats any of it."""
    if not MIN_HTTP_TOKEN <= len(value) <= MAX_HTTP_TOKEN or not re.fullmatch(r"[!-~]+", value):
        raise UnfitError
    return value


def retention_bytes(value: object) -> int:
    """Return bytes, at least `MIN_RETENTION_BYTES`, from `64MiB`, `500MB`, `1.5GiB` or a number of bytes."""
    if isinstance(value, str):
        if not (match := re.fullmatch(SIZE, value)):
            raise UnfitError(_unit_hint(value, _BYTES))
        size = int(float(match[1]) * _BYTES[match[2]])
    else:
        size = whole(value)
    if size < MIN_RETENTION_BYTES:
        raise UnfitError("is too little to resume from; write at least 1MiB")
    return size


def duration(value: object) -> float:
    """Return seconds, at least 1, from `90s`, `30m`, `1h` or `1d`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UnfitError(f"has no unit; write {str(value)[:20]}s if seconds are meant")
    if not (match := re.fullmatch(DURATION, text(value))):
        raise UnfitError(_unit_hint(text(value), _SECONDS))
    duration_s = float(match[1]) * _SECONDS[match[2]]
    if duration_s < 1:
        raise UnfitError("is too short; write 1s or more")
    return duration_s


def _unit_hint(value: str, units: dict[str, float] | dict[str, int]) -> str:
    match = re.fullmatch(r"([0-9.]{1,19}) ?([A-Za-z]{1,12})", value)
    unit = match and nearest(match[2], units)
    return f"has no unit that is known; write {match[1]}{unit}" if match and unit else ""


def lease(value: object) -> float:
    """Return seconds for which a host owns a shard without renewing it, from `15s`."""
    lease_s = duration(value)
    if lease_s < MIN_LEASE_S:
        raise UnfitError("is too short to be renewed in time; write 5s or more, such as 15s")
    if lease_s > MAX_LEASE_S:
        raise UnfitError(
            "leaves shards without a host for that long when one dies; write 5m or less, such as 15s"
        )
    return lease_s


def host_name(value: object) -> str:
    """Return a host's name as one token of a NATS key; a dot, as in a full domain name, becomes `_`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UnfitError("is a number; put it in quotes to make it a name")
    if not re.fullmatch(HOST_NAME, text(value)):
        raise UnfitError
    return text(value).replace(".", "_")


def fraction(value: object) -> float:
    """Return 0 ≤ x < 1 from `10%` or `0.1`."""
    if isinstance(value, str):
        if not (match := re.fullmatch(PERCENT, value)):
            raise UnfitError
        part = float(match[1]) / 100
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise UnfitError
    else:
        part = float(value)
    if not 0 <= part < 1:
        if 1 < part < 100 and not isinstance(value, str):
            raise UnfitError(f"is more than all of it; write {value}% if per cent is meant")
        raise UnfitError
    return part


def shard_count(value: object) -> int | None:
    """Return a shard count, None for `auto`."""
    if value == "auto":
        return None
    if not 1 <= whole(value) <= MAX_SHARDS:
        raise UnfitError
    return whole(value)


def shard_ids(value: object) -> frozenset[int] | None:
    """Return shard ids from `0-15`, `0-3,8`, `[0, 3]` or one id; None for `all`."""
    match value:
        case "all":
            return None
        case str() if re.fullmatch(SHARD_IDS, value):
            ids = {shard for part in value.split(",") for shard in _span(part.strip())}
        case list() if value:
            ids = {_listed_id(item, index) for index, item in enumerate(value, start=1)}
        case _:
            ids = {whole(value)}
    if min(ids) < 0 or max(ids) >= MAX_SHARDS:
        raise UnfitError
    return frozenset(ids)


def _listed_id(item: object, index: int) -> int:
    if isinstance(item, bool) or not isinstance(item, int):
        raise UnfitError(
            f"has no shard id as item {index}; write whole numbers, such as [0, 3], or a text such as 0-3,8"
        )
    return item


def _span(part: str) -> range:
    first, _, last = part.partition("-")
    start, stop = int(first), int(last or first)
    if stop < start:
        raise UnfitError(f"counts backwards; write {stop}-{start}")
    if stop >= MAX_SHARDS:
        raise UnfitError
    return range(start, stop + 1)


def intent_names(value: object) -> object:
    """Return the names whose bits an integer has; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if value < 0:
        raise UnfitError
    if excess := value & ~_ALL_INTENTS:
        bits = [str(bit) for bit in range(min(excess.bit_length(), 64)) if excess >> bit & 1]
        which = f" ({', '.join(bits)})" if 0 < len(bits) <= 8 else ""
        raise UnfitError(f"has bits that are no intent{which}; write names, such as [GUILDS, GUILD_MESSAGES]")
    return [name for name, bit in INTENTS.items() if value & bit]


def intent_bit(value: object) -> int:
    """Return the bit of an intent's name."""
    name = text(value)
    if name in INTENTS:
        return INTENTS[name]
    if meant := _FORMER_INTENTS.get(name.upper()) or nearest(name, INTENTS):
        raise UnfitError(f"is not an intent; did you mean {meant}?")
    raise UnfitError


def event_name(value: object) -> str:
    """Return a dispatch's name, such as `MESSAGE_CREATE`."""
    name = text(value)
    if name.startswith("GWCLUSTER_"):
        raise UnfitError("is a notice of gwcluster itself, which always goes out; remove it")
    if not re.fullmatch(EVENT_NAME, name):
        capital = name.upper().replace(" ", "_").replace("-", "_")
        raise UnfitError(
            f"is not an event's name; write {capital}" if re.fullmatch(EVENT_NAME, capital) else ""
        )
    return name
