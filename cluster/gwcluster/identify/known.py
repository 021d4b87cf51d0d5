"""What an earlier coordinator learnt of the gateway, for a start that can't wait for an answer (pure)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from gwcluster.discord import GatewayUrlError, gateway_url, is_loopback_url
from gwcluster.wire.shapes import field_types, fits


@dataclass(frozen=True, slots=True)
class Known:
    """As of the last answer of /gateway/bot.

    Attributes:
        api: who answered.
        url: the gateway's address.
        shards: how many the cluster ran with, 1 or more.
        recommended: how many Discord recommended, 1 or more.
    """

    api: str
    url: str
    shards: int
    recommended: int

    def encode(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))


def decode(text: str) -> Known | None:
    """Return what `encode` wrote, None where that makes no sense any more."""
    try:
        fields: Any = json.loads(text)
        known = Known(**fields)
        gateway_url(known.url, "none", plain_ok=is_loopback_url(known.api))
        typed = all(fits(getattr(known, name), declared) for name, declared in field_types(Known).items())
        sound = typed and min(known.shards, known.recommended) >= 1
    except (ValueError, TypeError, AttributeError, RecursionError, GatewayUrlError):
        return None
    return known if sound else None
