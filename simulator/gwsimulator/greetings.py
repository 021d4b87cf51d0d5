"""Decides (pure): what a new connection meets: HELLO, or what a script wants instead.

Source: https://docs.discord.com/developers/events/gateway#hello-event
"""

from __future__ import annotations

from typing import Any, Final

from gwsimulator.effects import BeatDue, Effect, Send
from gwsimulator.faults import Faults, Greeting
from gwsimulator.links import INVALID, Link, Links
from gwsimulator.payloads import encode
from gwsimulator.records import Hello
from gwsimulator.vocabulary import Op

_TRACE: Final = ['["gateway-prd-us-east1-c-xr0k",{"micros":0.0}]']
_BAD_INTERVALS: Final[dict[Greeting, Any]] = {
    "bad_interval": 0,
    "negative_interval": -1,
    "text_interval": "41250",
}


def greet(link: Link, links: Links, faults: Faults, now: float) -> list[Effect]:
    """Greet a new connection as planned, and plan its end if it has one."""
    effects = _greet(link, links, faults.greetings.take(link.host), now)
    return effects + links.end_later(link, faults.hello_ends.take(link.host), now)


def _greet(link: Link, links: Links, greeting: Greeting | None, now: float) -> list[Effect]:
    interval = links.settings.heartbeat_interval_ms
    usual = links.plain(link, hello(interval))
    match greeting:
        case int():
            return links.hang_up(link, greeting, "As the scenario has it.", now)
        case "silent":
            return []
        case "half":
            return [Send(link.id, hello(interval), "half")]
        case "op7":
            return links.ask_to_reconnect(link, now)
        case "no_interval":
            return [
                Send(link.id, encode({"t": None, "s": None, "op": int(Op.HELLO), "d": {"_trace": _TRACE}}))
            ]
        case "bad_interval" | "negative_interval" | "text_interval":
            return [Send(link.id, hello(_BAD_INTERVALS[greeting]))]
        case _:
            links.timers.set(link.beat_by, BeatDue(link.id))
            links.ledger.add(Hello(now, link.id, interval / 1000))
    match greeting:
        case "op9":
            return [links.plain(link, INVALID[False]), usual]
        case "second_hello":
            return [usual, usual]
        case "pieces":
            return [Send(link.id, hello(interval), "pieces")]
        case "without_keys":
            return [Send(link.id, encode({"op": int(Op.HELLO), "d": {"heartbeat_interval": interval}}))]
        case _:
            return [usual]


def hello(interval_ms: object) -> bytes:
    """Return HELLO with that interval, which may be nonsense."""
    d = {"heartbeat_interval": interval_ms, "_trace": _TRACE}
    return encode({"t": None, "s": None, "op": int(Op.HELLO), "d": d})
