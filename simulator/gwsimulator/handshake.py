"""Decides (pure): IDENTIFY, from the checks to a session or a refusal.

Source: https://docs.discord.com/developers/events/gateway#identifying
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gwsimulator.arrivals import Arrivals
from gwsimulator.effects import Effect, Greet
from gwsimulator.faults import Faults
from gwsimulator.greetings import hello
from gwsimulator.identify import Identity, Refusal, bare, is_large_threshold, judge, named_place
from gwsimulator.limits import BucketOrder, DailyLimit, IdentifyWindows
from gwsimulator.links import Link, Links, Phase
from gwsimulator.records import Identify
from gwsimulator.refusals import Refusals
from gwsimulator.sessions import Session, Sessions, buffer_size
from gwsimulator.settings import Settings
from gwsimulator.vocabulary import CloseCode
from gwsimulator.world import World


@dataclass(slots=True, kw_only=True)
class Handshake:
    """Gives connections new sessions."""

    settings: Settings
    world: World
    faults: Faults
    sessions: Sessions
    links: Links
    refusals: Refusals
    arrivals: Arrivals
    new_session_id: Callable[[], str]
    revoked: set[str] = field(default_factory=set)
    windows: IdentifyWindows = field(init=False)
    buckets: BucketOrder = field(init=False)
    daily: DailyLimit = field(init=False)

    def __post_init__(self) -> None:
        """Start with full limits."""
        settings = self.settings
        self.windows = IdentifyWindows(
            settings.max_concurrency, settings.identify_window_s, settings.identify_window_from
        )
        self.buckets = BucketOrder(settings.max_concurrency)
        sliding = settings.daily_window == "sliding"
        self.daily = DailyLimit(settings.daily_limit, settings.identifies_used, sliding)

    def knows(self, token: object) -> bool:
        """Say whether a token, bare or after `Bot `, is valid."""
        text = bare(token)
        return bool(text) and text not in self.revoked and self.settings.token in (None, text)

    def identify(self, link: Link, data: dict[str, Any], now: float) -> list[Effect]:
        """Judge an IDENTIFY, in the order in which Discord's refusals go before one another."""
        shard, shards = named_place(data) or (None, None)

        if link.phase is Phase.GREETED:
            link.shard = shard

        def refuse(refusal: Refusal) -> list[Effect]:
            outcome = str(int(refusal.code))
            self.links.ledger.add(Identify(now, link.id, shard, shards, None, outcome, None))
            return self.links.refuse(link, refusal.code, refusal.rule, refusal.detail, now)

        if not self.knows(data.get("token")):
            detail = "IDENTIFY with an invalid token"
            return refuse(Refusal(CloseCode.AUTHENTICATION_FAILED, "bad_token", detail))
        within_limit = self.settings.identifies_counted == "successes" or self.daily.spend(now)
        if link.phase is not Phase.GREETED:
            detail = "IDENTIFY on a connection that had one"
            return refuse(Refusal(CloseCode.ALREADY_AUTHENTICATED, "already_authenticated", detail))
        verdict = judge(data, self.settings, lambda place: len(self.world.guilds_of(*place)))
        if isinstance(verdict, Refusal):
            if verdict.rule == "missing_intents" and self.settings.missing_intents == "second_hello":
                return self._greet_again(link, verdict, now)
            return refuse(verdict)
        if not is_large_threshold(data):
            threshold = data["large_threshold"]
            self.links.violation("large_threshold", link, f"{threshold!r:.40}, taken as 50", now)
        return self._admit(link, verdict, bare(data["token"]), now, within_limit=within_limit)

    def _greet_again(self, link: Link, refusal: Refusal, now: float) -> list[Effect]:
        """Do what was seen on IDENTIFYs without intents: another HELLO, and never READY.

        Source: https://github.com/discord/discord-api-docs/issues/4247
        """
        self.links.ledger.add(Identify(now, link.id, link.shard, None, None, "hello", None))
        self.links.violation(refusal.rule, link, refusal.detail, now)
        link.phase = Phase.PENDING
        return [self.links.plain(link, hello(self.settings.heartbeat_interval_ms))]

    def _admit(
        self, link: Link, who: Identity, token: str, now: float, *, within_limit: bool
    ) -> list[Effect]:
        def note(outcome: str, session: str | None = None) -> None:
            self.links.ledger.add(
                Identify(now, link.id, who.shard, who.shards, who.intents, outcome, session)
            )

        successes_only = self.settings.identifies_counted == "successes"
        if not within_limit or (successes_only and self.daily.remaining(now) == 0):
            note("4004")
            detail = f"IDENTIFY {self.daily.used(now) + successes_only} of {self.daily.total}"
            self.links.violation("daily_limit", link, detail, now)
            return self._revoke(link, token, now)
        too_soon = self.windows.since_last(who.shard, now)
        self.windows.attempted(who.shard, now)
        if too_soon is not None:
            note("op9")
            self.links.violation("identify_window", link, f"{too_soon:.3f} s after the one before it", now)
            return self.refusals.invalid(link, now)
        if self.settings.bucket_order and not self.buckets.start(who.shard, who.shards):
            note("op9")
            self.links.violation("bucket_order", link, f"shard {who.shard} before its turn", now)
            return self.refusals.invalid(link, now)
        if (scripted := self.faults.identifies.take(who.shard)) is not None:
            note(str(scripted.how))
            return self.refusals.scripted(link, scripted, now)
        if successes_only:
            self.daily.spend(now)
        self.windows.accepted(who.shard, now)
        session = self._new_session(link, who, token, now)
        note("ready", session.id)
        if self.settings.ready_delay_s <= 0:
            return self.ready(link, now)
        self.links.timers.set(now + self.settings.ready_delay_s, Greet(link.id))
        return []

    def ready(self, link: Link, now: float) -> list[Effect]:
        """Let READY and the guilds follow on an accepted IDENTIFY."""
        if link.shard is not None and link.session is not None:
            self.windows.greeted(link.shard, now)
        return self.arrivals.ready(link, now)

    def _new_session(self, link: Link, who: Identity, token: str, now: float) -> Session:
        place = (who.shard, who.shards)
        for other in self.sessions.on_shard(who.shard):
            holder = self.links.get(other.link)
            if other.place == place and holder is not None and not holder.stalled:
                self.links.violation("shard_attached_twice", link, f"connection {holder.id} has it", now)
        capacity = self.settings.buffer_events
        if capacity is None:
            capacity = buffer_size(len(self.world.guilds_of(*place)))
        session = Session(
            self.new_session_id(), token, place, who.intents, link.compress, capacity, link=link.id
        )
        self.sessions.add(session)
        link.session, link.phase = session, Phase.PENDING
        return session

    def _revoke(self, link: Link, token: str, now: float) -> list[Effect]:
        """Do what Discord does to a bot that identifies too often: end its sessions, take its token away."""
        self.revoked.add(token)
        effects: list[Effect] = []
        for other in self.links.all():
            if other is link or (other.session is not None and other.session.token == token):
                reason = "Authentication failed."
                effects += self.links.hang_up(other, CloseCode.AUTHENTICATION_FAILED, reason, now)
        for session in self.sessions.all():
            if session.token == token:
                self.sessions.drop(session)
        return effects
