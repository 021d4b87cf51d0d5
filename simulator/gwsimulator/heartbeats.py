"""Decides (pure): heartbeats: when one is too late, what it may say, and how it is answered.

Source: https://docs.discord.com/developers/events/gateway#sending-heartbeats
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gwsimulator.effects import BeatDue, Effect, Later
from gwsimulator.faults import Faults
from gwsimulator.links import Link, Links
from gwsimulator.records import Beat
from gwsimulator.vocabulary import CloseCode


@dataclass(slots=True)
class Heartbeats:
    """Watches over the heartbeats of all connections."""

    links: Links
    faults: Faults

    def take(self, link: Link, seq: Any, now: float) -> list[Effect]:
        """Judge a heartbeat and answer it."""
        if seq is not None and type(seq) is not int:
            detail = "a heartbeat's d is a number or null"
            return self.links.refuse(link, CloseCode.DECODE_ERROR, "undecodable", detail, now)
        session = link.session
        self.links.ledger.add(Beat(now, link.id, link.shard, seq, session.id if session else None))
        link.beat_by = now + self.links.patience_s()
        if session is not None and seq is not None:
            if seq > session.seq:
                self.links.violation("heartbeat_seq", link, f"{seq}, last sent {session.seq}", now)
            elif self.links.settings.heartbeat_trims:
                session.trim(seq)
        return self._ack(link, now)

    def look(self, link: Link, now: float) -> list[Effect]:
        """End a connection whose heartbeat did not come in time."""
        if link.stalled or now < link.beat_by:
            next_look = max(link.beat_by, now + self.links.patience_s() / 4)
            self.links.timers.set(next_look, BeatDue(link.id))
            return []
        code = self.links.settings.late_beat_code
        return self.links.refuse(link, code, "late_heartbeat", "no heartbeat in time", now)

    def _ack(self, link: Link, now: float) -> list[Effect]:
        acks = self.faults.acks_of(link.shard)
        if acks.payload is None:
            return []
        answer = self.links.plain(link, acks.payload)
        if acks.delay_s <= 0:
            return [answer]
        self.links.timers.set(now + acks.delay_s, Later(lambda _, __: [answer]))
        return []
