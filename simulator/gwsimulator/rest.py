"""Decides (pure): the few REST routes that a gateway client asks for.

Sources:
    https://docs.discord.com/developers/events/gateway#get-gateway-bot
    https://docs.discord.com/developers/reference#user-agent
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gwsimulator.payloads import Json, backwards, encode
from gwsimulator.records import RestCall, Rule, Violation
from gwsimulator.rules import Gateway
from gwsimulator.vocabulary import API_VERSION

_PATH: Final = re.compile(r"^/api(?:/v(\d+))?(/.*)$")
_AGENT: Final = re.compile(r"^DiscordBot \(.+, .+\)")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `status` 0: cut the connection instead. `delay_s` comes before either."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


def answer(gateway: Gateway, target: str, headers: Mapping[str, str], url: str, now: float) -> Answer:
    """Answer `GET target`, and note it in the ledger; `url` is the gateway's."""
    path = target.partition("?")[0]
    fault = gateway.faults.next_rest(path)
    if fault is not None:
        made = Answer(fault.status, fault.body, fault.headers, fault.delay_s)
    else:
        made = _judge(gateway, path, headers, url, now)
    gateway.ledger.add(RestCall(now, path, made.status))
    return made


def _judge(gateway: Gateway, path: str, headers: Mapping[str, str], url: str, now: float) -> Answer:
    def broke(rule: Rule, detail: str) -> None:
        gateway.ledger.add(Violation(now, rule, None, detail))

    match = _PATH.match(path)
    if match is None:
        return _error(404, "404: Not Found", 0)
    version, route = match.groups()
    if version != API_VERSION:
        broke("api_version", path[:80])
        if version is not None:
            return _error(400, "Invalid API version", 50041)
    agent = headers.get("User-Agent", "")
    if not _AGENT.match(agent):
        broke("user_agent", agent[:80])
        if not agent.startswith("DiscordBot ("):  # discord.py writes no comma, and is let in
            return _error(403, "internal network error", 40333)
    if route == "/gateway":
        return _json({"url": url})
    authorization = headers.get("Authorization", "")
    if not authorization.startswith("Bot ") or not gateway.handshake.knows(authorization):
        broke("authorization", f"{route} without a valid token")
        return _error(401, "401: Unauthorized", 0)
    match route:
        case "/gateway/bot":
            return _json(gateway_bot(gateway, url, now))
        case "/users/@me":
            return _json(_me(gateway))
        case "/applications/@me" | "/oauth2/applications/@me":
            return _json(_application(gateway))
        case _:
            return _error(404, "404: Not Found", 0)


def gateway_bot(gateway: Gateway, url: str, now: float) -> Json:
    """Return what `/gateway/bot` tells: shards to start and what is left of the day's identifies."""
    settings = gateway.settings
    limit = {
        "total": settings.daily_limit,
        "remaining": gateway.handshake.daily.remaining(now),
        "reset_after": gateway.handshake.daily.reset_after_ms(now),
        "max_concurrency": settings.max_concurrency,
    }
    return {"url": url, "shards": settings.shards, "session_start_limit": limit}


def _me(gateway: Gateway) -> Json:
    account = {"verified": True, "mfa_enabled": True, "locale": "en-US", "flags": 0, "email": None, "bio": ""}
    return backwards({**gateway.world.bot, **account, "banner": None, "accent_color": None})


def _application(gateway: Gateway) -> Json:
    bot = gateway.world.bot
    owner = {
        key: bot[key] for key in ("id", "username", "discriminator", "avatar", "public_flags", "global_name")
    }
    return {
        "id": bot["id"],
        "name": "simulated",
        "icon": None,
        "description": "A bot of the simulator.",
        "summary": "",
        "type": None,
        "is_monetized": False,
        "bot": bot,
        "hook": True,
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": 565_248,
        "owner": owner,
        "team": None,
        "approximate_guild_count": len(gateway.world.guild_ids),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "integration_types_config": {"0": {}},
    }


def _json(value: Json, status: int = 200) -> Answer:
    return Answer(status, encode(value), {"Content-Type": "application/json"})


def _error(status: int, message: str, code: int) -> Answer:
    return _json({"message": message, "code": code}, status)
