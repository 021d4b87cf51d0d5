"""Discord's numbers, each with its source (pure).

Sources:
    Opcodes and close codes: https://docs.discord.com/developers/topics/opcodes-and-status-codes
    Gateway rules: https://docs.discord.com/developers/events/gateway
"""

from __future__ import annotations

import enum
import ipaddress
import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from gwcluster.errors import GwclusterError, quoted

API_VERSION: Final = 10
"""https://docs.discord.com/developers/reference#api-versioning"""


class GatewayUrlError(GwclusterError):
    """A gateway address that must not be dialed; keep the one before it."""


class Op(enum.IntEnum):
    """Gateway opcodes that a bot meets."""

    DISPATCH = 0
    HEARTBEAT = 1
    IDENTIFY = 2
    PRESENCE_UPDATE = 3
    VOICE_STATE_UPDATE = 4
    RESUME = 6
    RECONNECT = 7
    REQUEST_GUILD_MEMBERS = 8
    INVALID_SESSION = 9
    HELLO = 10
    HEARTBEAT_ACK = 11
    REQUEST_SOUNDBOARD_SOUNDS = 31
    REQUEST_CHANNEL_INFO = 43


CLOSE_MEANINGS: Final[dict[int, str]] = {
    1000: "normal closure",
    1001: "going away",
    1006: "connection lost without a close frame",
    1009: "message too big",
    1011: "internal error",
    4000: "unknown error",
    4001: "unknown opcode or invalid payload",
    4002: "payload could not be decoded",
    4003: "not authenticated",
    4004: "authentication failed: the token is wrong",
    4005: "already authenticated",
    4006: "session no longer valid",
    4007: "invalid seq",
    4008: "rate limited",
    4009: "session timed out",
    4010: "invalid shard: for a very large bot, a count that is no multiple of the number assigned to it",
    4011: "sharding required: too many guilds; set shards.count to what /gateway/bot recommends",
    4012: "invalid API version",
    4013: "invalid intents",
    4014: "disallowed intents: enable them in the developer portal, renew their approval, or ask for fewer",
}
"""What a close code says, for logs. 4006 left the documentation but is still met."""

INTENTS: Final[dict[str, int]] = {
    "GUILDS": 1 << 0,
    "GUILD_MEMBERS": 1 << 1,
    "GUILD_MODERATION": 1 << 2,
    "GUILD_EXPRESSIONS": 1 << 3,
    "GUILD_INTEGRATIONS": 1 << 4,
    "GUILD_WEBHOOKS": 1 << 5,
    "GUILD_INVITES": 1 << 6,
    "GUILD_VOICE_STATES": 1 << 7,
    "GUILD_PRESENCES": 1 << 8,
    "GUILD_MESSAGES": 1 << 9,
    "GUILD_MESSAGE_REACTIONS": 1 << 10,
    "GUILD_MESSAGE_TYPING": 1 << 11,
    "DIRECT_MESSAGES": 1 << 12,
    "DIRECT_MESSAGE_REACTIONS": 1 << 13,
    "DIRECT_MESSAGE_TYPING": 1 << 14,
    "MESSAGE_CONTENT": 1 << 15,
    "GUILD_SCHEDULED_EVENTS": 1 << 16,
    "AUTO_MODERATION_CONFIGURATION": 1 << 20,
    "AUTO_MODERATION_EXECUTION": 1 << 21,
    "GUILD_MESSAGE_POLLS": 1 << 24,
    "DIRECT_MESSAGE_POLLS": 1 << 25,
}
"""https://docs.discord.com/developers/events/gateway#list-of-intents"""

IDENTIFY_WINDOW_S: Final = 5.0
"""One IDENTIFY per `shard % max_concurrency` in this time.
https://docs.discord.com/developers/events/gateway#rate-limiting"""

SEND_LIMIT: Final = 120
"""Payloads a client may send on one connection in `SEND_WINDOW_S`, heartbeats included.
https://docs.discord.com/developers/events/gateway#rate-limiting"""

SEND_WINDOW_S: Final = 60.0

SEND_BYTES: Final = 4096
"""Largest payload that a client may send.
https://docs.discord.com/developers/events/gateway#sending-events"""

MEMBER_IDS: Final = 100
"""Most users that one REQUEST_GUILD_MEMBERS may name.
https://docs.discord.com/developers/events/gateway-events#request-guild-members"""

NONCE_BYTES: Final = 32
"""Longest nonce of REQUEST_GUILD_MEMBERS; a longer one is ignored, and its answer can't be told from others.
https://docs.discord.com/developers/events/gateway-events#request-guild-members"""

ALL_MEMBERS_SPACING_S: Final = 30.0
"""All members of one guild may be asked for once in this time.
https://docs.discord.com/developers/events/gateway-events#request-guild-members"""


def shard_of(guild_id: int, shards: int) -> int:
    """Return the shard, 0 to `shards` - 1, that receives the events of a guild.

    Sources:
        https://docs.discord.com/developers/events/gateway#sharding
    """
    return (guild_id >> 22) % shards


def snowflake(value: object) -> int | None:
    """Return an id that was given as an integer or as a string of digits; None if it is no id.

    Sources:
        https://docs.discord.com/developers/reference#snowflakes
    """
    number = 0
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        number = int(value)
    return number if 0 < number < 1 << 64 else None


def close_meaning(code: int | None) -> str:
    """Return words for a close code; None is a connection that ended without one."""
    if code is None:
        return CLOSE_MEANINGS[1006]
    return f"{code} {CLOSE_MEANINGS.get(code, 'undocumented')}"


MAX_URL_CHARS: Final = 1000
_DISCORD_HOST: Final = re.compile(r"(?:[a-z0-9-]+\.)*discord\.(?:gg|com)")


def is_loopback(host: str | None) -> bool:
    """Say whether a host name or address (IPv6 without brackets) stays on this machine."""
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_loopback_url(url: str) -> bool:
    """Say whether an address leads to this machine itself."""
    try:
        return is_loopback(urlsplit(url).hostname)
    except ValueError:
        return False


def gateway_url(base: str, compression: str, *, plain_ok: bool) -> str:
    """Return the address to dial: `base` with version, encoding and compression in its query.

    Resume addresses come without a query and need the same one.

    Args:
        base: from `/gateway/bot` or READY, with or without path and query.
        compression: `none`, `zlib-stream` or `zstd-stream`.
        plain_ok: the configured API is on loopback, so `ws` and loopback hosts are fine.

    Raises:
        GatewayUrlError: `base` leads elsewhere than to Discord; don't dial it.

    Sources:
        https://docs.discord.com/developers/events/gateway#connecting
    """
    if not base.isascii() or not base.isprintable() or len(base) > MAX_URL_CHARS:
        raise GatewayUrlError(f"not a gateway address: {quoted(base)}")
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise GatewayUrlError(f"not a gateway address: {quoted(base)} ({error})") from error
    at_discord = parts.scheme == "wss" and host is not None and _is_discord(host)
    at_home = plain_ok and parts.scheme in {"ws", "wss"} and is_loopback(host)
    if not (at_discord or at_home) or parts.username is not None or port == 0:
        raise GatewayUrlError(f"not a wss address of Discord's: {quoted(base)}")
    query = dict(parse_qsl(parts.query)) | {"v": str(API_VERSION), "encoding": "json"}
    query.pop("compress", None)
    if compression != "none":
        query["compress"] = compression
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", urlencode(query), ""))


def _is_discord(host: str) -> bool:
    return _DISCORD_HOST.fullmatch(host) is not None
