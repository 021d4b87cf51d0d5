"""Decides (pure): what becomes of one dispatch on its way to a connection."""

from __future__ import annotations

from typing import assert_never

from gwsimulator.effects import Effect, Send
from gwsimulator.faults import Mangle


def mangled(link: int, payload: bytes, how: Mangle | None) -> list[Effect]:
    """Return how the payload of a dispatch is sent."""
    match how:
        case None | "gap":  # the gap is in the numbers
            return [Send(link, payload)]
        case "duplicate":
            return [Send(link, payload), Send(link, payload)]
        case "corrupt":
            return [Send(link, payload, "broken")]
        case "truncate":
            return [Send(link, payload[: len(payload) // 2])]
        case "invalid_utf8":
            head, colon, d = payload.partition(b'"d":')
            return [Send(link, head + b'"x":"\xc3\x28",' + colon + d)]
        case "text" | "end_stream":
            return [Send(link, payload, how)]
        case _:
            assert_never(how)
