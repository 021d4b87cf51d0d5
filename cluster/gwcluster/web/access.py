"""Who may operate the cluster over HTTP (pure).

Reading is open to whoever reaches the address. Operating needs the token of `http.token_file`. Without one
it is possible from this machine alone, and not for a page of some other site that a browser here shows: such
a page can't set the header, and one whose name suddenly leads to 127.0.0.1 gives itself away by that name.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gwcluster.discord import is_loopback

HEADER: Final = "X-Gwcluster"
OPERATE: Final = "operate"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something isn't done, with HTTP's status, a code for programs and words for people."""

    status: int
    code: str
    message: str


def may_operate(headers: Mapping[str, str], *, token: str | None, local: bool) -> Refusal | None:
    """Return why whoever sent these headers may not operate the cluster, None if he may.

    Args:
        headers: of the request; names in any case if the mapping takes them so.
        token: that of `http.token_file`.
        local: only this machine can reach the address that is bound.
    """
    if token is not None:
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
            return None
        return Refusal(401, "unauthorized", "this needs the header Authorization: Bearer TOKEN")
    if not local:
        message = (
            "nothing can be operated from here: http.bind is open to other machines and has no token_file"
        )
        return Refusal(403, "forbidden", message)
    host = headers.get("Host", "")
    if not is_loopback(_name_of(host)):
        return Refusal(
            403, "forbidden", "ask for 127.0.0.1 or localhost: operating is for this machine alone"
        )
    if headers.get("Origin", f"http://{host}") != f"http://{host}":
        return Refusal(403, "forbidden", "no other site's page may operate this cluster")
    if headers.get(HEADER) != OPERATE:
        return Refusal(403, "forbidden", f"this needs the header {HEADER}: {OPERATE}")
    return None


def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
