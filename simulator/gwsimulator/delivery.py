"""Decides (pure): which sessions get an event, and with which number."""

from __future__ import annotations

from dataclasses import dataclass

from gwsimulator.effects import Effect
from gwsimulator.faults import Faults
from gwsimulator.ledger import Ledger
from gwsimulator.mangles import mangled
from gwsimulator.sessions import Session, Sessions
from gwsimulator.spelling import Spelling, as_it_is
from gwsimulator.world import Event


@dataclass(slots=True)
class Delivery:
    """Numbers, records and sends dispatches."""

    sessions: Sessions
    ledger: Ledger
    faults: Faults
    spell: Spelling = as_it_is

    def happen(self, event: Event, now: float) -> list[Effect]:
        """Let an event happen in its guild: every session that it is routed to and that wants it gets it."""
        effects: list[Effect] = []
        for session in self.sessions.receivers(event):
            if session.live and session.wants(event):
                effects += self.dispatch(session, event, now)
        return effects

    def tell(self, shard: int, event: Event, now: float) -> list[Effect]:
        """Dispatch to every session of a shard, whatever the event's guild and the session's intents."""
        effects: list[Effect] = []
        for session in self.sessions.on_shard(shard):
            if session.live:
                effects += self.dispatch(session, event, now)
        return effects

    def dispatch(self, session: Session, event: Event, now: float) -> list[Effect]:
        """Dispatch to one session; without a connection it only goes into the replay buffer."""
        mangle = self.faults.dispatches.take(session.place[0])
        if mangle == "gap":
            session.seq += 5
        payload = session.stamp(event.name, session.view(event), self.spell)
        self.ledger.dispatch(now, session.id, session.place, session.seq, event.name, payload)
        if session.link is None:
            return []
        session.told = session.seq  # a RESUMED comes after all that was replayed
        return mangled(session.link, payload, mangle)
