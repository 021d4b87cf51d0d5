"""Decides (pure): Discord's gateway as a client meets it. Takes what arrives and the time; says what to do.

Sources:
    https://docs.discord.com/developers/events/gateway
    https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, assert_never

from gwsimulator.arrivals import Arrivals
from gwsimulator.commands import Commands
from gwsimulator.delivery import Delivery
from gwsimulator.effects import (
    BeatDue,
    Effect,
    Expire,
    Greet,
    GuildBack,
    HangupLater,
    Later,
    NextGuild,
    Refuse,
    SendAway,
    Timer,
    Timers,
)
from gwsimulator.faults import Faults
from gwsimulator.greetings import greet
from gwsimulator.handshake import Handshake
from gwsimulator.heartbeats import Heartbeats
from gwsimulator.ledger import Ledger
from gwsimulator.limits import PRESENCES, RestQuota, SlidingLimit
from gwsimulator.links import INVALID, Link, Links, Phase
from gwsimulator.members import Members
from gwsimulator.payloads import encode
from gwsimulator.records import Connection, Frame, Refused, Rule
from gwsimulator.refusals import Refusals
from gwsimulator.resuming import Resuming
from gwsimulator.sessions import Sessions
from gwsimulator.settings import Settings
from gwsimulator.spelling import Spelling, as_it_is
from gwsimulator.vocabulary import API_VERSION, CLIENT_OPS, CloseCode, Op
from gwsimulator.world import World


class Gateway:
    """All connections and sessions. Methods take `now`, monotonic seconds, and return effects to perform."""

    def __init__(
        self,
        settings: Settings,
        *,
        world: World,
        ledger: Ledger,
        faults: Faults,
        resume_url: Callable[[], str],
        new_session_id: Callable[[], str],
        spell: Spelling = as_it_is,
    ) -> None:
        """Start without connections.

        Args:
            settings: the knobs.
            world: the bot and its guilds.
            ledger: takes what happens.
            faults: what goes wrong next.
            resume_url: the `resume_gateway_url` of READY.
            new_session_id: gives 32 hex digits, never the same twice.
            spell: writes dispatches anew.
        """
        self.settings = settings
        self.world = world
        self.ledger = ledger
        self.faults = faults
        self.timers = Timers()
        self.quota = RestQuota(per_second=settings.rest_limit, invalid_most=settings.invalid_answers_max)
        self.sessions = Sessions()
        self.links = Links(settings, self.sessions, ledger, self.timers)
        self.delivery = Delivery(self.sessions, ledger, faults, spell)
        self.commands = Commands(world, self.links, self.delivery, Members(world))
        self.heartbeats = Heartbeats(self.links, faults)
        refusals = Refusals(self.links)
        self.arrivals = Arrivals(
            world=world,
            faults=faults,
            sessions=self.sessions,
            links=self.links,
            delivery=self.delivery,
            resume_url=resume_url,
        )
        self.handshake = Handshake(
            settings=settings,
            world=world,
            faults=faults,
            sessions=self.sessions,
            links=self.links,
            refusals=refusals,
            arrivals=self.arrivals,
            new_session_id=new_session_id,
        )
        self.resuming = Resuming(
            faults=faults,
            sessions=self.sessions,
            links=self.links,
            refusals=refusals,
            delivery=self.delivery,
            knows=self.handshake.knows,
        )

    # ------------------------------------------------------------------ what arrives

    def connected(
        self, link_id: int, host: str, query: Mapping[str, str], now: float, peer: str = ""
    ) -> list[Effect]:
        """Greet a new websocket on `host` (`gateway` or `resume`), from a client's address and port."""
        self.ledger.add(Connection(now, link_id, host, dict(query), peer))
        settings, compress = self.settings, query.get("compress")
        offered = compress if compress in settings.compressions else None
        sends = SlidingLimit(settings.send_limit, settings.send_window_s)
        link = Link(link_id, host, offered, sends, SlidingLimit(*PRESENCES), now + self.links.patience_s())
        self.links.add(link)
        for key in ("v", "encoding"):
            if key not in query:
                rule: Rule = "resume_url_without_query" if host != "gateway" else "url_without_query"
                self.links.violation(rule, link, f"no {key} in the query", now)
        if compress != offered:
            detail = f"compress={compress:.40}"
            if settings.unknown_compression == "close":
                return self.links.refuse(link, CloseCode.UNKNOWN_ERROR, "unknown_compression", detail, now)
            self.links.violation("unknown_compression", link, detail, now)
        if query.get("v", API_VERSION) != API_VERSION:
            detail = f"v={query['v']:.40}"
            return self.links.refuse(link, CloseCode.INVALID_API_VERSION, "invalid_version", detail, now)
        if query.get("encoding", "json") != "json":
            return self.links.refuse(link, CloseCode.UNKNOWN_ERROR, "unknown_encoding", "only json", now)
        return greet(link, self.links, self.faults, now)

    def refused(self, host: str, status: int | None, now: float) -> None:
        """Note that a dial of `host` became no websocket, or with None that no dial will be seen."""
        self.ledger.add(Refused(now, host, status))

    def received(self, link_id: int, data: bytes, now: float) -> list[Effect]:
        """Judge one message of a client."""
        link = self.links.get(link_id)
        if link is None:
            return []
        refuse = self.links.refuse
        self.ledger.add(Frame(now, link_id, len(data)))
        if len(data) > self.settings.max_payload_bytes:
            return refuse(link, CloseCode.DECODE_ERROR, "too_large", f"{len(data)} bytes", now)
        try:
            message = json.loads(data.decode())
            if b"\\u" in data:
                encode(message)  # half of a surrogate pair, which no answer could echo
        except (ValueError, RecursionError):
            return refuse(link, CloseCode.DECODE_ERROR, "undecodable", "not JSON", now)
        if not isinstance(message, dict) or type(message.get("op")) is not int:
            return refuse(link, CloseCode.DECODE_ERROR, "undecodable", "no object with an op", now)
        if not link.sends.take(now):
            detail = f"more than {self.settings.send_limit} in {self.settings.send_window_s:g} s"
            return refuse(link, CloseCode.RATE_LIMITED, "send_rate", detail, now)
        if message["op"] not in CLIENT_OPS:
            return refuse(link, CloseCode.UNKNOWN_OPCODE, "unknown_opcode", f"op {message['op']}", now)
        return self._obey(link, message["op"], message.get("d"), now)

    def _obey(self, link: Link, op: int, d: Any, now: float) -> list[Effect]:
        refuse = self.links.refuse
        match op:
            case Op.HEARTBEAT:
                return self.heartbeats.take(link, d, now)
            case Op.IDENTIFY | Op.RESUME if not isinstance(d, dict):
                detail = f"op {op} without an object"
                return refuse(link, CloseCode.UNKNOWN_OPCODE, "bad_payload", detail, now)
            case Op.RESUME if link.phase is not Phase.GREETED:
                detail = "RESUME on a connection that had one"
                return refuse(link, CloseCode.ALREADY_AUTHENTICATED, "already_authenticated", detail, now)
            case Op.IDENTIFY:
                return self.handshake.identify(link, d, now)
            case Op.RESUME:
                return self.resuming.resume(link, d, now)
            case _:
                return self.commands.obey(link, op, d, now)

    def lost(self, link_id: int, code: int | None, now: float) -> list[Effect]:
        """Note that a client ended its websocket, with a close code or without one (RST, EOF)."""
        self.links.lost(link_id, code, now)
        return []

    # ------------------------------------------------------------------ what falls due

    def tick(self, now: float) -> list[Effect]:
        """Do what has fallen due."""
        return [effect for timer in self.timers.due(now) for effect in self._due(timer, now)]

    def _due(self, timer: Timer, now: float) -> list[Effect]:
        if isinstance(timer, Expire):
            session = self.sessions.get(timer.session)
            if session is not None and session.has_expired(now):
                self.sessions.drop(session)
            return []
        if isinstance(timer, Later):
            return timer.order(self, now)
        if isinstance(timer, NextGuild):
            return self.arrivals.next_guild(timer.session, now)
        if isinstance(timer, GuildBack):
            return self.arrivals.guild_back(timer.session, timer.guild_id, now)
        link = self.links.get(timer.link)
        if link is None:
            return []
        match timer:
            case BeatDue():
                return self.heartbeats.look(link, now)
            case Greet():
                return self.handshake.ready(link, now)
            case Refuse():
                link.phase = Phase.GREETED
                return [self.links.plain(link, INVALID[False])]
            case HangupLater():
                return self.links.hang_up(link, timer.code, timer.reason, now)
            case SendAway():
                return self.links.ask_to_reconnect(link, now)
            case _:
                assert_never(timer)
