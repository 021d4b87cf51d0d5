"""Decides (pure): RESUME, from the checks to the replay and RESUMED, or a refusal.

Source: https://docs.discord.com/developers/events/gateway#resuming
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gwsimulator.delivery import Delivery
from gwsimulator.effects import Effect, Later, Send, SendAway
from gwsimulator.faults import Faults
from gwsimulator.identify import bare
from gwsimulator.links import Link, Links, Phase
from gwsimulator.records import Resume
from gwsimulator.refusals import Refusals
from gwsimulator.sessions import Session, Sessions
from gwsimulator.vocabulary import CloseCode
from gwsimulator.world import Event

_RESUMED_D: Final = b'{"_trace":["[\\"gateway-prd-us-east1-c-xr0k\\",{\\"micros\\":3112}]"]}'


@dataclass(slots=True, kw_only=True)
class Resuming:
    """Gives sessions another connection. `knows` says whether a token is valid."""

    faults: Faults
    sessions: Sessions
    links: Links
    refusals: Refusals
    delivery: Delivery
    knows: Callable[[object], bool]

    def resume(self, link: Link, data: dict[str, Any], now: float) -> list[Effect]:
        """Judge a RESUME; it touches neither windows nor the day's identifies."""
        session_id, seq = data.get("session_id"), data.get("seq")
        if not isinstance(session_id, str) or type(seq) is not int:
            detail = "RESUME without its fields"
            return self.links.refuse(link, CloseCode.UNKNOWN_OPCODE, "bad_payload", detail, now)
        session = self.sessions.get(session_id)
        link.shard = session.place[0] if session else None
        same_token = session is None or session.token == bare(data.get("token"))
        holder = self.links.get(session.link) if session else None

        def note(outcome: str, replayed: int = 0, took_over: int | None = None) -> None:
            self.links.ledger.add(
                Resume(
                    now,
                    link.id,
                    link.host,
                    link.shard,
                    session_id,
                    seq,
                    outcome,
                    replayed,
                    same_token,
                    took_over,
                )
            )

        if not self.knows(data.get("token")):
            note("4004")
            return self.links.refuse(link, CloseCode.AUTHENTICATION_FAILED, "bad_token", "RESUME", now)
        foreign_code = self.links.settings.foreign_session_code
        if not same_token and foreign_code is not None:
            note(str(int(foreign_code)))
            return self.links.hang_up(link, foreign_code, "Session no longer valid.", now)
        if session is None or not same_token or session.has_expired(now):
            note("op9")
            return self.refusals.invalid(link, now)
        if seq > session.seq:
            note("4007")
            detail = f"{seq}, last sent {session.seq}"
            return self.links.refuse(link, CloseCode.INVALID_SEQ, "invalid_seq", detail, now)
        missed = session.missed(seq)
        if missed is None:
            self.sessions.drop(session)
            note("op9")
            return self.refusals.invalid(link, now)
        if (scripted := self.faults.resumes.take(link.shard)) is not None:
            note(str(scripted.how))
            return self.refusals.scripted(link, scripted, now)
        overlap = self.faults.overlaps.take(link.shard) or 0
        missed = session.missed(max(0, seq - overlap)) or missed
        note("resumed", len(missed), holder.id if holder else None)
        return self._attach(link, session, missed, now)

    def _attach(self, link: Link, session: Session, missed: list[bytes], now: float) -> list[Effect]:
        if session.compress != link.compress:
            detail = f"{session.compress} before, {link.compress} now"
            self.links.violation("resume_compression", link, detail, now)
        effects: list[Effect] = []
        if (old := self.links.get(session.link)) is not None:
            self.links.release(old, now)  # or a code that ends sessions would end this one
            code = self.links.settings.takeover_code
            effects += self.links.hang_up(old, code, "Session resumed elsewhere.", now)
        session.link, session.expires_at = link.id, None
        link.session, link.phase = session, Phase.LIVE
        broken = self.faults.replays.take(link.shard)
        effects += [Send(link.id, payload) for payload in missed[: broken.after if broken else None]]
        if broken is not None:
            return effects + self.links.interrupt(link, broken.how, now)
        effects += self._resumed(link, session, now)
        if not link.host.startswith("resume"):
            self._plan_departure(link, now)
        return effects + self.links.end_later(link, self.faults.live_ends.take(link.shard), now)

    def _resumed(self, link: Link, session: Session, now: float) -> list[Effect]:
        if self.links.settings.resumed_has_seq:
            return self.delivery.dispatch(session, Event("RESUMED", _RESUMED_D, None), now)
        session.told = session.seq
        return [Send(link.id, b'{"t":"RESUMED","s":null,"op":0,"d":%b}' % _RESUMED_D)]

    def _plan_departure(self, link: Link, now: float) -> None:
        """Have a session on the host that REST names leave it before long."""
        self.links.violation("wrong_resume_host", link, "RESUME on the host that REST names", now)
        settings = self.links.settings
        if settings.wrong_host_close_after_s is None:
            return
        at = now + settings.wrong_host_close_after_s
        if settings.wrong_host_drops:
            self.links.timers.set(at, Later(lambda gateway, then: gateway.links.cut(link, then)))
        else:
            self.links.timers.set(at, SendAway(link.id))
