"""Answers in HTTP's form (does): each ends its connection, and none may be framed, sniffed or kept."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

from gwcluster.web.access import Refusal

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def answer(body: bytes, content_type: str, status: int = 200) -> web.Response:
    """Return an answer that is complete."""
    response = web.Response(body=body, status=status, headers={**HEADERS, "Content-Type": content_type})
    response.force_close()
    return response


def text(body: str, status: int = 200) -> web.Response:
    """Return lines for people."""
    return answer(body.encode(), "text/plain; charset=utf-8", status)


def as_json(body: Any, status: int = 200) -> web.Response:
    """Return a document for programs."""
    return answer(encoded(body), "application/json; charset=utf-8", status)


def refused(refusal: Refusal) -> web.Response:
    """Return why something isn't done."""
    error = {"code": refusal.code, "message": refusal.message}
    response = as_json({"ok": False, "error": error}, refusal.status)
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def encoded(document: Any) -> bytes:
    """Return a document as JSON on one line."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
