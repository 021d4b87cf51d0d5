"""The kinds of settings: how each is written, validated and described in the JSON Schema (pure)."""

from __future__ import annotations

import math
import pathlib
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainValidator, SecretStr, WithJsonSchema

from gwcluster.config import endpoints, units
from gwcluster.config.problems import UnfitError
from gwcluster.config.says import Says
from gwcluster.discord import INTENTS

RESERVED_IDENTIFY: Final = (
    "token",
    "intents",
    "shard",
    "properties",
    "presence",
    "large_threshold",
    "compress",
)
"""Fields of IDENTIFY that have a setting of their own, or are gwcluster's own business."""


def text_schema(pattern: str) -> dict[str, Any]:
    """Return the JSON Schema of a text that is all of a pattern."""
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def one_or_more_schema(pattern: str) -> dict[str, Any]:
    """Return the JSON Schema of one such text, or a list of them."""
    return {"anyOf": [text_schema(pattern), {"type": "array", "items": text_schema(pattern), "minItems": 1}]}


def _zmq_bind(value: object) -> str:
    endpoints.zmq_address(units.text(value))
    return units.text(value)


def _http_bind(value: object) -> str | None:
    if value is None:
        return None
    endpoints.http_address(units.text(value))
    return units.text(value)


def _api(value: object) -> str:
    return endpoints.api_url(units.text(value))


def _webhook(value: object) -> SecretStr | None:
    return None if value is None else SecretStr(endpoints.webhook_url(units.text(value)))


def _path(value: object) -> pathlib.Path:
    path = units.text(value)
    if not path.strip() or not endpoints.fits_filesystem(path):
        raise UnfitError
    return pathlib.Path(path)


def one_or_more(value: object) -> object:
    """Return a list, of one where the file has no list."""
    if value == []:
        raise UnfitError
    return [value] if isinstance(value, str) else value


def _all_or_some(value: object) -> object:
    if value in (None, []):
        raise UnfitError
    return None if value == "all" else value


def _identify_fields(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnfitError
    if not _fits_json(value):
        raise UnfitError("has a number that JSON can't carry (.inf or .nan); remove it")
    return value


def _fits_json(value: object) -> bool:
    match value:
        case dict():
            return all(map(_fits_json, value.values()))
        case list():
            return all(map(_fits_json, value))
        case float():
            return math.isfinite(value)
        case _:
            return True


Name = Annotated[
    str,
    PlainValidator(units.cluster_name),
    WithJsonSchema(text_schema(units.NAME)),
    Says("a name", "1 to 64 letters, digits, dots, hyphens or underscores, the first not a dot"),
]
Token = Annotated[
    str | None,
    PlainValidator(units.text),
    WithJsonSchema({"type": "string", "minLength": 1}),
    Says("a token", "the bot's token as a text, best as ${DISCORD_TOKEN}"),
]
_PATH_SCHEMA: Final = WithJsonSchema(text_schema(r"[\s\S]*\S[\s\S]*"))
_PATH_SAYS: Final = Says("a path", "a path; a relative one begins at this file's folder")
Path = Annotated[pathlib.Path, PlainValidator(_path), _PATH_SCHEMA, _PATH_SAYS]
PathIfGiven = Annotated[pathlib.Path | None, PlainValidator(_path), _PATH_SCHEMA, _PATH_SAYS]
Intent = Annotated[
    int,
    PlainValidator(units.intent_bit),
    WithJsonSchema({"enum": list(INTENTS)}),
    Says("an intent", "names from https://docs.discord.com/developers/events/gateway#list-of-intents"),
]
Intents = Annotated[
    tuple[Intent, ...],
    Field(strict=False),
    BeforeValidator(units.intent_names),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"enum": list(INTENTS)}},
                {"type": "integer", "minimum": 0, "maximum": sum(INTENTS.values())},
            ]
        }
    ),
    Says("a list of intents", "names, such as [GUILDS, GUILD_MESSAGES], or the integer"),
]
ShardCount = Annotated[
    int | None,
    PlainValidator(units.shard_count),
    WithJsonSchema(
        {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": units.MAX_SHARDS}]}
    ),
    Says("a shard count", "auto or a whole number from 1"),
]
ShardIds = Annotated[
    frozenset[int] | None,
    PlainValidator(units.shard_ids),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "all"},
                text_schema(units.SHARD_IDS),
                {"type": "integer", "minimum": 0, "exclusiveMaximum": units.MAX_SHARDS},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "exclusiveMaximum": units.MAX_SHARDS},
                    "minItems": 1,
                },
            ]
        }
    ),
    Says("a set of shard ids", 'all, a text such as "0-15" or "0-3,8", or a list such as [0, 3]'),
]
ApiUrl = Annotated[
    str,
    PlainValidator(_api),
    WithJsonSchema(text_schema(r"https?://.+/api/v10/?")),
    Says("an API address", "https://discord.com/api/v10"),
]
Webhook = Annotated[
    SecretStr | None,
    PlainValidator(_webhook),
    WithJsonSchema({"anyOf": [text_schema(r"https?://.+"), {"type": "null"}]}),
    Says("a webhook's address", "null, or the address as a text, best as ${WEBHOOK_URL}"),
]
IdentifyFields = Annotated[
    dict[str, Any],
    PlainValidator(_identify_fields),
    WithJsonSchema({"type": "object", "propertyNames": {"not": {"enum": list(RESERVED_IDENTIFY)}}}),
    Says("a mapping of identify fields", "{} or fields that Discord knows, such as {capabilities: 0}"),
]
EventName = Annotated[
    str,
    PlainValidator(units.event_name),
    WithJsonSchema(text_schema(units.EVENT_NAME)),
    Says("an event's name", "names in capitals, such as MESSAGE_CREATE"),
]
_EVENT_NAMES: Final = {"type": "array", "items": text_schema(units.EVENT_NAME)}
EventsWanted = Annotated[
    frozenset[EventName] | None,
    Field(strict=False),
    BeforeValidator(_all_or_some),
    WithJsonSchema({"anyOf": [{"const": "all"}, {**_EVENT_NAMES, "minItems": 1}]}),
    Says("a choice of events", "all, or a list such as [MESSAGE_CREATE, GUILD_CREATE]"),
]
EventsUnwanted = Annotated[
    frozenset[EventName],
    Field(strict=False),
    WithJsonSchema(_EVENT_NAMES),
    Says("a list of events", "[] or a list such as [TYPING_START, PRESENCE_UPDATE]"),
]
ZmqBind = Annotated[
    str,
    PlainValidator(_zmq_bind),
    Says("an address to bind", "tcp://HOST:PORT or ipc:///PATH, such as tcp://127.0.0.1:5570"),
]
ZmqBinds = Annotated[
    tuple[ZmqBind, ...],
    Field(strict=False),
    BeforeValidator(one_or_more),
    WithJsonSchema(one_or_more_schema(endpoints.BIND)),
    Says("an address to bind", "tcp://HOST:PORT or ipc:///PATH, or a list of them"),
]
HttpBind = Annotated[
    str | None,
    PlainValidator(_http_bind),
    WithJsonSchema({"anyOf": [text_schema(endpoints.HTTP_BIND), {"type": "null"}]}),
    Says("an address to bind", "HOST:PORT, such as 127.0.0.1:5572, or null for no HTTP"),
]
RetentionBytes = Annotated[
    int,
    PlainValidator(units.retention_bytes),
    WithJsonSchema(
        {"anyOf": [text_schema(units.SIZE), {"type": "integer", "minimum": units.MIN_RETENTION_BYTES}]}
    ),
    Says("a size", "a number with a unit, such as 64MiB, 500MB or 1GiB; at least 1MiB"),
]
Seconds = Annotated[
    float,
    PlainValidator(units.duration),
    WithJsonSchema(text_schema(units.DURATION)),
    Says("a duration", "a number with a unit, such as 90s, 30m, 1h or 1d; at least 1s"),
]
Fraction = Annotated[
    float,
    PlainValidator(units.fraction),
    WithJsonSchema(
        {"anyOf": [text_schema(units.PERCENT), {"type": "number", "minimum": 0, "exclusiveMaximum": 1}]}
    ),
    Says("a part of the daily limit", "less than 100%, as 10% or 0.1"),
]
