"""Decides (pure): the minimal plausible answers to what a bot asks over the gateway.

Source: https://docs.discord.com/developers/events/gateway-events#send-events
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gwsimulator.delivery import Delivery
from gwsimulator.effects import Effect
from gwsimulator.identify import is_presence
from gwsimulator.links import Link, Links, Phase
from gwsimulator.members import Members, is_request, lacks_intent
from gwsimulator.payloads import Json, encode
from gwsimulator.records import Command
from gwsimulator.sessions import Session
from gwsimulator.vocabulary import CloseCode, Op
from gwsimulator.world import Event, World


@dataclass(slots=True)
class Commands:
    """Judges commands and answers them."""

    world: World
    links: Links
    delivery: Delivery
    members: Members

    def obey(self, link: Link, op: int, data: Any, now: float) -> list[Effect]:
        """Judge a command: its fields, then whether the connection may send any, then how often."""
        refuse, session = self.links.refuse, link.session
        if not fits(op, data):
            return refuse(link, CloseCode.UNKNOWN_OPCODE, "bad_payload", f"op {op}", now)
        if link.phase is not Phase.LIVE or session is None:
            return refuse(link, CloseCode.NOT_AUTHENTICATED, "not_authenticated", f"op {op}", now)
        self.links.ledger.add(Command(now, link.id, session.place[0], op, data))
        if op == Op.PRESENCE_UPDATE and not link.presences.take(now):
            detail = f"more than {link.presences.most} in {link.presences.window_s:g} s"
            if self.links.settings.presence_limit == "close":
                return refuse(link, CloseCode.RATE_LIMITED, "presence_rate", detail, now)
            self.links.violation("presence_rate", link, detail, now)
            return []
        if op == Op.REQUEST_GUILD_MEMBERS and lacks_intent(data, session.intents):
            return self._forbid(link, now)
        answers = self._answer(op, data, session, now)
        return [effect for event in answers for effect in self.delivery.dispatch(session, event, now)]

    def _forbid(self, link: Link, now: float) -> list[Effect]:
        detail = "op 8 for more than the intents cover"
        code = self.links.settings.members_without_intent_code
        if code is not None:
            return self.links.refuse(link, code, "members_intent", detail, now)
        self.links.violation("members_intent", link, detail, now)
        return []

    def _answer(self, op: int, data: Json, session: Session, now: float) -> list[Event]:
        match op:
            case Op.VOICE_STATE_UPDATE:
                return self._voice(data, session)
            case Op.REQUEST_GUILD_MEMBERS:
                return self.members.answer(data, session, now)
            case Op.REQUEST_SOUNDBOARD_SOUNDS:
                return [
                    _own("SOUNDBOARD_SOUNDS", {"soundboard_sounds": [], "guild_id": str(one)})
                    for one in data["guild_ids"]
                ]
            case Op.REQUEST_CHANNEL_INFO:
                return [_own("CHANNEL_INFO", {"guild_id": str(data["guild_id"]), "channels": []})]
            case _:
                return []

    def _voice(self, data: Json, session: Session) -> list[Event]:
        guild_id = str(data["guild_id"])
        state = {
            "user_id": self.world.bot["id"],
            "suppress": False,
            "session_id": session.id,
            "self_video": False,
            "self_mute": bool(data.get("self_mute")),
            "self_deaf": bool(data.get("self_deaf")),
            "request_to_speak_timestamp": None,
            "mute": False,
            "guild_id": guild_id,
            "deaf": False,
            "channel_id": data["channel_id"],
        }
        told = [_own("VOICE_STATE_UPDATE", state)]
        if data["channel_id"] is not None:
            server = {"token": "voice", "guild_id": guild_id, "endpoint": "voice.localhost:443"}
            told.append(_own("VOICE_SERVER_UPDATE", server))
        return told


def fits(op: int, data: Any) -> bool:
    """Say whether a command's `d` has the fields that its op needs; Discord answers 4001 when it has not."""
    if not isinstance(data, dict):
        return False
    match op:
        case Op.PRESENCE_UPDATE:
            return is_presence(data)
        case Op.VOICE_STATE_UPDATE:
            return {"guild_id", "channel_id"} <= data.keys()
        case Op.REQUEST_GUILD_MEMBERS:
            return is_request(data)
        case Op.REQUEST_SOUNDBOARD_SOUNDS:
            return isinstance(data.get("guild_ids"), list)
        case Op.REQUEST_CHANNEL_INFO:
            return "guild_id" in data and isinstance(data.get("fields"), list)
        case _:
            return False


def _own(name: str, data: Json) -> Event:
    """Return a dispatch that needs no intent: it answers this session alone."""
    return Event(name, encode(data), None)
