"""Decides (pure): READY, and how the guilds that it names arrive after it.

Source: https://docs.discord.com/developers/events/gateway-events#ready
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gwsimulator.delivery import Delivery
from gwsimulator.effects import Effect, GuildBack, NextGuild
from gwsimulator.faults import Faults
from gwsimulator.links import Link, Links, Phase
from gwsimulator.sessions import Session, Sessions
from gwsimulator.world import Event, World


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """Sends READY and then each guild: whole, as a stub, or as one that is unavailable."""

    world: World
    faults: Faults
    sessions: Sessions
    links: Links
    delivery: Delivery
    resume_url: Callable[[], str]
    _waiting: dict[str, deque[Event]] = field(default_factory=dict)

    def ready(self, link: Link, now: float) -> list[Effect]:
        """Let READY and the guilds follow on an accepted IDENTIFY; they go on when the connection is lost."""
        session = link.session
        if link.phase is not Phase.PENDING or session is None:
            return []
        link.phase = Phase.LIVE
        session.live = True
        stubs = self.world.ready(session.id, self.resume_url(), session.place)
        effects = self.delivery.dispatch(session, Event("READY", stubs, None), now)
        guilds = deque(self._guilds(session, now))
        rate = self.links.settings.guild_rate
        if rate > 0 and guilds:
            self._waiting[session.id] = guilds
            self.links.timers.set(now + 1 / rate, NextGuild(session.id))
        else:
            effects += [one for guild in guilds for one in self.delivery.dispatch(session, guild, now)]
        return effects + self.links.end_later(link, self.faults.live_ends.take(link.shard), now)

    def next_guild(self, session_id: str, now: float) -> list[Effect]:
        """Let the next guild arrive."""
        session, waiting = self.sessions.get(session_id), self._waiting.get(session_id)
        if session is None or not waiting:
            self._waiting.pop(session_id, None)
            return []
        self.links.timers.set(now + 1 / self.links.settings.guild_rate, NextGuild(session_id))
        return self.delivery.dispatch(session, waiting.popleft(), now)

    def guild_back(self, session_id: str, guild_id: int, now: float) -> list[Effect]:
        """Let a guild be available again."""
        session = self.sessions.get(session_id)
        if session is None:
            return []
        return self.delivery.dispatch(session, self.world.guild_create(guild_id), now)

    def _guilds(self, session: Session, now: float) -> list[Event]:
        settings = self.links.settings
        found: list[Event] = []
        for index, guild_id in enumerate(self.world.guilds_of(*session.place)):
            if index < settings.unavailable_guilds:
                event = self.world.guild_stub(guild_id, "GUILD_DELETE")
            elif index < settings.unavailable_guilds + settings.stub_guilds:
                event = self.world.guild_stub(guild_id, "GUILD_CREATE")
            else:
                event = self.world.guild_create(guild_id)
            if not session.wants(event):
                return []
            found.append(event)
            arrives_in_s = (index + 1) / settings.guild_rate if settings.guild_rate > 0 else 0.0
            if index < settings.unavailable_guilds + settings.stub_guilds and settings.guild_recovery_s:
                back_at = now + arrives_in_s + settings.guild_recovery_s
                self.links.timers.set(back_at, GuildBack(session.id, guild_id))
        return found
