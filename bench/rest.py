"""Decides (pure): what the stand-in for Discord's REST API answers; as much as clients need to start."""

from __future__ import annotations

import json
from typing import Any

from bench.traffic import BOT


def answer(request: bytes, url: str, shards: int, max_concurrency: int) -> bytes:
    """Return the HTTP response to a request's head; `url` is the gateway's."""
    path = request.split(b" ", 2)[1].decode().partition("?")[0]
    match path.removeprefix("/api").removeprefix("/v10"):
        case "/gateway/bot":
            limit = {"total": 100_000, "remaining": 100_000, "reset_after": 86_400_000}
            limit["max_concurrency"] = max_concurrency
            return _response(200, {"url": url, "shards": shards, "session_start_limit": limit})
        case "/gateway":
            return _response(200, {"url": url})
        case "/users/@me":
            return _response(200, {**BOT, "flags": 0, "mfa_enabled": True, "verified": True})
        case "/applications/@me" | "/oauth2/applications/@me":
            return _response(200, _APPLICATION)
        case _:
            return _response(404, {"message": "404: Not Found", "code": 0})


_APPLICATION = {
    "id": BOT["id"],
    "name": "bench",
    "icon": None,
    "description": "",
    "bot_public": False,
    "bot_require_code_grant": False,
    "verify_key": "0" * 64,
    "flags": 565_248,
    "owner": {**BOT, "bot": False},
    "team": None,
    "summary": "",
    "hook": True,
}


def _response(status: int, body: Any) -> bytes:
    text = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + text
