"""Decides (pure): the few REST routes that a gateway client asks for.

Sources:
    https://docs.discord.com/developers/events/gateway#get-gateway-bot
    https://docs.discord.com/developers/reference#user-agent
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from gwsimulator.payloads import Json, backwards, encode
from gwsimulator.records import RestCall, Rule, Violation
from gwsimulator.rules import Gateway
from gwsimulator.vocabulary import API_VERSION

_PATH: Final = re.compile(r"^/api(?:/v(\d+))?(/.*)$")
_AGENT: Final = re.compile(r"^DiscordBot \(.+, .+\)")


_BANNED: Final = b"<html><head><title>Access denied</title></head><body>error code: 1015</body></html>"


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
    made = _answer(gateway, path, headers, url, now)
    if made.status in (401, 403, 429) and made.headers.get("X-RateLimit-Scope") != "shared":
        gateway.quota.invalid.take(now)
    gateway.ledger.add(RestCall(now, path, made.status, _not_before(made, now)))
    return made


def _answer(gateway: Gateway, path: str, headers: Mapping[str, str], url: str, now: float) -> Answer:
    if gateway.quota.invalid.left(now) < 0:
        gateway.ledger.add(Violation(now, "invalid_answers", None, path[:80]))
        return Answer(403, _BANNED, {"Content-Type": "text/html"})
    fault = gateway.faults.next_rest(path)
    if fault is not None:
        return Answer(fault.status, fault.body, fault.headers, fault.delay_s)
    if not gateway.quota.requests.take(now):
        return _too_many(gateway, path, now)
    made = _judge(gateway, path, headers, url, now)
    return replace(made, headers={**made.headers, **_quota_headers(gateway, now)})


def _too_many(gateway: Gateway, path: str, now: float) -> Answer:
    gateway.ledger.add(Violation(now, "rest_rate", None, path[:80]))
    wait_s = round(gateway.quota.requests.free_after_s(now), 3)
    body = {"message": "You are being rate limited.", "retry_after": wait_s, "global": True}
    told = {
        "Retry-After": str(math.ceil(wait_s)),
        "X-RateLimit-Global": "true",
        "X-RateLimit-Scope": "global",
    }
    return Answer(429, encode(body), {"Content-Type": "application/json", **told})


def _quota_headers(gateway: Gateway, now: float) -> dict[str, str]:
    """Return how many requests are left; seconds since no epoch in particular, as nobody knows the date here.

    Source: https://docs.discord.com/developers/topics/rate-limits#header-format
    """
    requests = gateway.quota.requests
    after_s = requests.free_after_s(now)
    return {
        "X-RateLimit-Limit": str(requests.most),
        "X-RateLimit-Remaining": str(max(0, requests.left(now))),
        "X-RateLimit-Reset": f"{now + after_s:.3f}",
        "X-RateLimit-Reset-After": f"{after_s:.3f}",
        "X-RateLimit-Bucket": "80c17d2f203122d936070c88c8d10f33",
    }


def _not_before(made: Answer, now: float) -> float | None:
    """Return when a 429 allows the next request, from its header or else its body."""
    if made.status != 429:
        return None
    try:
        wait_s = float(made.headers.get("Retry-After") or json.loads(made.body)["retry_after"])
    except (ValueError, KeyError, TypeError):
        return None
    return now + made.delay_s + wait_s


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
    told = {"url": url, "shards": settings.shards, "session_start_limit": limit}
    return gateway.faults.retold(told)


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
