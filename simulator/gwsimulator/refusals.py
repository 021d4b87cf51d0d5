"""Decides (pure): how an IDENTIFY or RESUME is turned down.

Source: https://docs.discord.com/developers/events/gateway-events#invalid-session
"""

from __future__ import annotations

from dataclasses import dataclass

from gwsimulator.effects import Effect, Refuse
from gwsimulator.faults import Refused
from gwsimulator.links import INVALID, Link, Links, Phase


@dataclass(slots=True)
class Refusals:
    """Turns them down, at once or late."""

    links: Links

    def invalid(self, link: Link, now: float, delay_s: float | None = None) -> list[Effect]:
        """Answer op 9 false after `delay_s`; None: as the settings say."""
        delay_s = self.links.settings.invalid_session_delay_s if delay_s is None else delay_s
        if delay_s <= 0:
            return [self.links.plain(link, INVALID[False])]
        link.phase = Phase.PENDING
        self.links.timers.set(now + delay_s, Refuse(link.id))
        return []

    def scripted(self, link: Link, how: Refused, now: float) -> list[Effect]:
        """Do what a script has planned."""
        match how.how:
            case "op9":
                return self.invalid(link, now, how.delay_s)
            case "silent":
                link.phase = Phase.PENDING
                return []
            case "abort":
                return self.links.cut(link, now)
            case code:
                return self.links.hang_up(link, code, "As the scenario has it.", now)
