"""Decides (pure): IDENTIFY and RESUME, from the checks to READY, RESUMED or a refusal.

Sources:
    https://docs.discord.com/developers/events/gateway#identifying
    https://docs.discord.com/developers/events/gateway#resuming
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from gwsimulator.delivery import Delivery
from gwsimulator.effects import Effect, Greet, Refuse, Send, SendAway, Timers
from gwsimulator.faults import Faults, Refused
from gwsimulator.identify import Identity, Refusal, bare, judge
from gwsimulator.ledger import Ledger
from gwsimulator.limits import BucketOrder, DailyLimit, IdentifyWindows
from gwsimulator.links import INVALID, Link, Links, Phase
from gwsimulator.records import Identify, Resume
from gwsimulator.sessions import Session, Sessions, buffer_size
from gwsimulator.settings import Settings
from gwsimulator.vocabulary import CloseCode
from gwsimulator.world import Event, World

_RESUMED_D: Final = b'{"_trace":["[\\"gateway-prd-us-east1-c-xr0k\\",{\\"micros\\":3112}]"]}'


@dataclass(slots=True, kw_only=True)
class Handshake:
    """Gives connections their sessions."""

    settings: Settings
    world: World
    ledger: Ledger
    faults: Faults
    timers: Timers
    sessions: Sessions
    links: Links
    delivery: Delivery
    resume_url: Callable[[], str]
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

    # ------------------------------------------------------------------ IDENTIFY

    def identify(self, link: Link, data: dict[str, Any], now: float) -> list[Effect]:
        """Judge an IDENTIFY, in the order in which Discord's refusals go before one another."""
        verdict = judge(data, self.settings)
        if not self.knows(data.get("token")):
            verdict = Refusal(CloseCode.AUTHENTICATION_FAILED, "bad_token", "IDENTIFY with an invalid token")
        if isinstance(verdict, Identity):
            link.shard = verdict.shard
            guilds = len(self.world.guilds_of(verdict.shard, verdict.shards))
            if guilds > self.settings.guilds_per_shard_max:
                detail = f"{guilds} guilds on one shard"
                verdict = Refusal(CloseCode.SHARDING_REQUIRED, "sharding_required", detail)
        if isinstance(verdict, Refusal):
            self.ledger.add(Identify(now, link.id, link.shard, None, None, str(int(verdict.code)), None))
            return self.links.refuse(link, verdict.code, verdict.rule, verdict.detail, now)
        threshold = data.get("large_threshold", 50)
        if type(threshold) is not int or not 50 <= threshold <= 250:
            self.links.violation("large_threshold", link, f"{threshold!r:.40}, taken as 50", now)
        return self._admit(link, verdict, bare(data["token"]), now)

    def _admit(self, link: Link, who: Identity, token: str, now: float) -> list[Effect]:
        def note(outcome: str, session: str | None = None) -> None:
            self.ledger.add(Identify(now, link.id, who.shard, who.shards, who.intents, outcome, session))

        if not self.daily.spend(now):
            note("4004")
            self.links.violation(
                "daily_limit", link, f"IDENTIFY {self.daily.used(now)} of {self.daily.total}", now
            )
            return self._revoke(token, now)
        too_soon = self.windows.since_last(who.shard, now)
        self.windows.attempted(who.shard, now)
        if too_soon is not None:
            note("op9")
            self.links.violation("identify_window", link, f"{too_soon:.3f} s after the one before it", now)
            return self._invalid(link, now)
        if (scripted := self.faults.identifies.take(who.shard)) is not None:
            note(str(scripted.how))
            return self._scripted(link, scripted, now)
        session = self._new_session(link, who, token, now)
        note("ready", session.id)
        if self.settings.ready_delay_s <= 0:
            return self.ready(link, now)
        self.timers.set(now + self.settings.ready_delay_s, Greet(link.id))
        return []

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

    def ready(self, link: Link, now: float) -> list[Effect]:
        """Let READY and the guilds follow on an accepted IDENTIFY."""
        session = link.session
        if link.phase is not Phase.PENDING or session is None:
            return []
        link.phase = Phase.LIVE
        session.live = True
        stubs = self.world.ready(session.id, self.resume_url(), session.place)
        effects = self.delivery.dispatch(session, Event("READY", stubs, None), now)
        for guild_id in self.world.guilds_of(*session.place):
            created = self.world.guild_create(guild_id)
            if session.wants(created):
                effects += self.delivery.dispatch(session, created, now)
        return effects + self.links.end_later(link, self.faults.live_ends.take(link.shard), now)

    def _revoke(self, token: str, now: float) -> list[Effect]:
        """Do what Discord does to those who identify too often: end all sessions, take the token away."""
        self.revoked.add(token)
        effects: list[Effect] = []
        for link in self.links.all():
            effects += self.links.hang_up(
                link, CloseCode.AUTHENTICATION_FAILED, "Authentication failed.", now
            )
        for session in self.sessions.all():
            self.sessions.drop(session)
        return effects

    # ------------------------------------------------------------------ RESUME

    def resume(self, link: Link, data: dict[str, Any], now: float) -> list[Effect]:
        """Judge a RESUME; it touches neither windows nor the day's identifies."""
        session_id, seq = data.get("session_id"), data.get("seq")
        if not isinstance(session_id, str) or type(seq) is not int:
            detail = "RESUME without its fields"
            return self.links.refuse(link, CloseCode.UNKNOWN_OPCODE, "bad_payload", detail, now)
        session = self.sessions.get(session_id)
        link.shard = session.place[0] if session else None

        def note(outcome: str, replayed: int = 0) -> None:
            record = Resume(now, link.id, link.host, link.shard, session_id, seq, outcome, replayed)
            self.ledger.add(record)

        if not self.knows(data.get("token")):
            note("4004")
            return self.links.refuse(link, CloseCode.AUTHENTICATION_FAILED, "bad_token", "RESUME", now)
        if session is None or session.token != bare(data["token"]) or session.has_expired(now):
            note("op9")
            return self._invalid(link, now)
        if seq > session.seq:
            note("4007")
            detail = f"{seq}, last sent {session.seq}"
            return self.links.refuse(link, CloseCode.INVALID_SEQ, "invalid_seq", detail, now)
        missed = session.missed(seq)
        if missed is None:
            self.sessions.drop(session)
            note("op9")
            return self._invalid(link, now)
        if (scripted := self.faults.resumes.take(link.shard)) is not None:
            note(str(scripted.how))
            return self._scripted(link, scripted, now)
        note("resumed", len(missed))
        return self._attach(link, session, missed, now)

    def _attach(self, link: Link, session: Session, missed: list[bytes], now: float) -> list[Effect]:
        if session.compress != link.compress:
            detail = f"{session.compress} before, {link.compress} now"
            self.links.violation("resume_compression", link, detail, now)
        effects: list[Effect] = []
        if (old := self.links.get(session.link)) is not None:
            effects += self.links.hang_up(old, CloseCode.UNKNOWN_ERROR, "Session resumed elsewhere.", now)
        session.link, session.expires_at = link.id, None
        link.session, link.phase = session, Phase.LIVE
        broken = self.faults.replays.take(link.shard)
        effects += [Send(link.id, payload) for payload in missed[: broken.after if broken else None]]
        if broken is not None:
            return effects + self.links.interrupt(link, broken.how, now)
        effects += self.delivery.dispatch(session, Event("RESUMED", _RESUMED_D, None), now)
        if not link.host.startswith("resume"):
            self.links.violation("wrong_resume_host", link, "RESUME on the host that REST names", now)
            if self.settings.wrong_host_close_after_s is not None:
                self.timers.set(now + self.settings.wrong_host_close_after_s, SendAway(link.id))
        return effects + self.links.end_later(link, self.faults.live_ends.take(link.shard), now)

    # ------------------------------------------------------------------ refusals

    def _invalid(self, link: Link, now: float, delay_s: float | None = None) -> list[Effect]:
        """Answer op 9 false, at once or late; by default as the settings say."""
        delay_s = self.settings.invalid_session_delay_s if delay_s is None else delay_s
        if delay_s <= 0:
            return [Send(link.id, INVALID[False])]
        link.phase = Phase.PENDING
        self.timers.set(now + delay_s, Refuse(link.id))
        return []

    def _scripted(self, link: Link, scripted: Refused, now: float) -> list[Effect]:
        match scripted.how:
            case "op9":
                return self._invalid(link, now, scripted.delay_s)
            case "silent":
                link.phase = Phase.PENDING
                return []
            case "abort":
                return self.links.cut(link, now)
            case code:
                return self.links.hang_up(link, code, "As the scenario has it.", now)
