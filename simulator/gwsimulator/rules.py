"""Decides (pure): Discord's gateway as a client meets it. Takes what arrives and the time, returns what to do.

Sources:
    https://docs.discord.com/developers/events/gateway
    https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from gwsimulator.commands import Commands
from gwsimulator.effects import (
    BeatDue,
    Cut,
    Effect,
    Expire,
    Freeze,
    Greet,
    Hangup,
    HangupLater,
    Refuse,
    Send,
    SendAway,
    Timers,
)
from gwsimulator.identify import Identity, Refusal, bare, judge
from gwsimulator.ledger import Beat, Close, Command, Connection, Identify, Ledger, Resume, Violation
from gwsimulator.limits import DailyLimit, IdentifyWindows, SendLimit
from gwsimulator.payloads import encode
from gwsimulator.scenario import Faults, Greeting
from gwsimulator.sessions import Session, Sessions, buffer_size
from gwsimulator.settings import Settings
from gwsimulator.vocabulary import CLIENT_OPS, CloseCode, Op
from gwsimulator.world import Event, World

MAX_PAYLOAD_BYTES: Final = 4096
API_VERSION: Final = "10"

ACK: Final = b'{"t":null,"s":null,"op":11,"d":null}'
RECONNECT: Final = b'{"t":null,"s":null,"op":7,"d":null}'
BEAT_NOW: Final = b'{"t":null,"s":null,"op":1,"d":null}'
INVALID: Final = {
    True: b'{"t":null,"s":null,"op":9,"d":true}',
    False: b'{"t":null,"s":null,"op":9,"d":false}',
}
RESUMED_D: Final = b'{"_trace":["[\\"gateway-prd-us-east1-c-xr0k\\",{\\"micros\\":3112}]"]}'


class Phase(enum.Enum):
    """Where a connection stands."""

    GREETED = "HELLO sent, no session"
    PENDING = "IDENTIFY or RESUME being answered"
    LIVE = "has a session"
    OVER = "closed by the server"


@dataclass(slots=True, eq=False)
class Link:
    """One websocket, from its upgrade to its end."""

    id: int
    host: str
    compress: str | None
    sends: SendLimit
    beat_by: float
    phase: Phase = Phase.GREETED
    session: Session | None = None
    shard: int | None = None
    stalled: bool = False
    greeting: Greeting | None = None


@dataclass(slots=True, kw_only=True)
class Gateway:
    """All connections and sessions. Every method takes `now`, monotonic seconds, and returns effects to perform."""

    settings: Settings
    world: World
    ledger: Ledger
    faults: Faults
    resume_url: Callable[[], str]
    new_session_id: Callable[[], str]
    """32 hex digits, never the same twice."""
    links: dict[int, Link] = field(default_factory=dict)
    sessions: Sessions = field(default_factory=Sessions)
    timers: Timers = field(default_factory=Timers)
    revoked: set[str] = field(default_factory=set)
    windows: IdentifyWindows = field(init=False)
    daily: DailyLimit = field(init=False)
    commands: Commands = field(init=False)

    def __post_init__(self) -> None:
        """Start with full limits."""
        self.windows = IdentifyWindows(self.settings.max_concurrency, self.settings.identify_window_s)
        self.daily = DailyLimit(self.settings.daily_limit, self.settings.identifies_used)
        self.commands = Commands(self.world)

    # ------------------------------------------------------------------ connections

    def connected(self, link_id: int, host: str, query: Mapping[str, str], now: float) -> list[Effect]:
        """Greet a new websocket on `host` (`gateway` or `resume`)."""
        self.ledger.add(Connection(now, link_id, host, dict(query)))
        settings = self.settings
        compress = query.get("compress")
        link = Link(
            link_id,
            host,
            compress if compress in settings.compressions else None,
            SendLimit(settings.send_limit, settings.send_window_s),
            now + self._beat_patience_s(),
            greeting=self.faults.greetings.popleft() if self.faults.greetings else None,
        )
        self.links[link_id] = link
        for key in ("v", "encoding"):
            if key not in query:
                rule = "resume_url_without_query" if host == "resume" else "url_without_query"
                self._violation(now, rule, link, f"no {key} in the query")
        if compress is not None and compress not in settings.compressions:
            self._violation(now, "unknown_compression", link, f"compress={compress:.40}")
        if query.get("v", API_VERSION) != API_VERSION:
            return self._refuse_link(
                link, now, CloseCode.INVALID_API_VERSION, "invalid_version", f"v={query['v']:.40}"
            )
        if query.get("encoding", "json") != "json":
            return self._refuse_link(
                link, now, CloseCode.UNKNOWN_ERROR, "unknown_encoding", "only json is simulated"
            )
        self.timers.set(link.beat_by, BeatDue(link_id))
        return self._greet(link)

    def _greet(self, link: Link) -> list[Effect]:
        interval = self.settings.heartbeat_interval_ms
        trace = ['["gateway-prd-us-east1-c-xr0k",{"micros":0.0}]']
        hello = {"t": None, "s": None, "op": 10, "d": {"heartbeat_interval": interval, "_trace": trace}}
        match link.greeting:
            case "silent":
                return []
            case "op7":
                return [Send(link.id, RECONNECT)]
            case "bad_interval":
                hello["d"] = {"heartbeat_interval": 0, "_trace": trace}
                return [Send(link.id, encode(hello))]
            case "second_hello":
                return [Send(link.id, encode(hello))] * 2
            case _:
                return [Send(link.id, encode(hello))]

    def received(self, link_id: int, data: bytes, now: float) -> list[Effect]:
        """Judge one message of a client."""
        link = self.links.get(link_id)
        if link is None or link.phase is Phase.OVER:
            return []
        if len(data) > MAX_PAYLOAD_BYTES:
            return self._refuse_link(link, now, CloseCode.DECODE_ERROR, "too_large", f"{len(data)} bytes")
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return self._refuse_link(link, now, CloseCode.DECODE_ERROR, "undecodable", "not JSON")
        if not isinstance(message, dict) or type(message.get("op")) is not int:
            return self._refuse_link(link, now, CloseCode.DECODE_ERROR, "undecodable", "no object with an op")
        if not link.sends.take(now):
            detail = f"more than {self.settings.send_limit} in {self.settings.send_window_s:g} s"
            return self._refuse_link(link, now, CloseCode.RATE_LIMITED, "send_rate", detail)
        op, d = message["op"], message.get("d")
        if op not in CLIENT_OPS:
            return self._refuse_link(link, now, CloseCode.UNKNOWN_OPCODE, "unknown_opcode", f"op {op}")
        match op:
            case Op.HEARTBEAT:
                return self._beat(link, d, now)
            case Op.IDENTIFY | Op.RESUME if link.phase is not Phase.GREETED:
                return self._refuse_link(
                    link, now, CloseCode.ALREADY_AUTHENTICATED, "already_authenticated", f"second op {op}"
                )
            case Op.IDENTIFY | Op.RESUME if not isinstance(d, dict):
                return self._refuse_link(
                    link, now, CloseCode.UNKNOWN_OPCODE, "bad_payload", f"op {op} without an object"
                )
            case Op.IDENTIFY:
                return self._identify(link, d, now)
            case Op.RESUME:
                return self._resume(link, d, now)
            case _:
                return self._command(link, op, d, now)

    def lost(self, link_id: int, code: int | None, now: float) -> list[Effect]:
        """Note that a client ended its websocket, with a close code or without one (RST, EOF)."""
        link = self.links.pop(link_id, None)
        if link is None or link.phase is Phase.OVER:
            return []
        session = link.session
        self.ledger.add(Close(now, link_id, "client", code, "", link.shard, session.id if session else None))
        if session is not None:
            self._detach(session, now)
            if code in (CloseCode.NORMAL, CloseCode.GOING_AWAY):
                self.sessions.drop(session)
        return []

    def tick(self, now: float) -> list[Effect]:
        """Do what has fallen due."""
        effects: list[Effect] = []
        for timer in self.timers.due(now):
            match timer:
                case BeatDue(link_id):
                    effects += self._look_for_beat(link_id, now)
                case Greet(link_id):
                    effects += self._ready(link_id, now)
                case Refuse(link_id):
                    if (link := self.links.get(link_id)) and link.phase is Phase.PENDING:
                        link.phase = Phase.GREETED
                        effects.append(Send(link_id, INVALID[False]))
                case HangupLater(link_id, code, reason):
                    if (link := self.links.get(link_id)) and link.phase is not Phase.OVER:
                        effects += self.hang_up(link, code, reason, now)
                case SendAway(link_id):
                    if (link := self.links.get(link_id)) and link.phase is Phase.LIVE:
                        effects += self.ask_to_reconnect(link, now)
                case Expire(session_id):
                    session = self.sessions.get(session_id)
                    if session and session.expires_at is not None and session.expires_at <= now:
                        self.sessions.drop(session)
                case _:
                    assert_never(timer)
        return effects

    # ------------------------------------------------------------------ heartbeats

    def _beat_patience_s(self) -> float:
        settings = self.settings
        return (
            settings.heartbeat_interval_ms / 1000 * (1 + settings.heartbeat_tolerance)
            + settings.heartbeat_grace_s
        )

    def _beat(self, link: Link, seq: Any, now: float) -> list[Effect]:
        if seq is not None and type(seq) is not int:
            return self._refuse_link(
                link, now, CloseCode.DECODE_ERROR, "undecodable", "heartbeat d is no number"
            )
        self.ledger.add(Beat(now, link.id, link.shard, seq))
        link.beat_by = now + self._beat_patience_s()
        if link.session is not None and seq is not None and seq > link.session.seq:
            self._violation(now, "heartbeat_seq", link, f"d {seq}, last sent {link.session.seq}")
        if link.shard is not None and link.shard in self.faults.without_acks:
            return []
        return [Send(link.id, ACK)]

    def _look_for_beat(self, link_id: int, now: float) -> list[Effect]:
        link = self.links.get(link_id)
        if link is None or link.phase is Phase.OVER:
            return []
        if link.stalled or now < link.beat_by:
            self.timers.set(max(link.beat_by, now + 0.05), BeatDue(link_id))
            return []
        return self._refuse_link(
            link, now, self.settings.late_beat_code, "late_heartbeat", "no heartbeat in time"
        )

    # ------------------------------------------------------------------ identify and resume

    def _token_ok(self, token: str) -> bool:
        if not token or token in self.revoked:
            return False
        return self.settings.token is None or token == self.settings.token

    def authorized(self, token: object) -> bool:
        """Say whether REST takes this token."""
        return self._token_ok(bare(token))

    def _identify(self, link: Link, data: dict[str, Any], now: float) -> list[Effect]:
        token = bare(data.get("token"))
        verdict = judge(data, self.settings)
        if not self._token_ok(token):
            verdict = Refusal(
                CloseCode.AUTHENTICATION_FAILED, "bad_token", "IDENTIFY with a token that is not valid"
            )
        if isinstance(verdict, Identity):
            link.shard = verdict.shard
            guilds = len(self.world.guilds_of(verdict.shard, verdict.shards))
            if guilds > self.settings.guilds_per_shard_max:
                verdict = Refusal(
                    CloseCode.SHARDING_REQUIRED, "sharding_required", f"{guilds} guilds on the shard"
                )
        if isinstance(verdict, Refusal):
            self.ledger.add(Identify(now, link.id, link.shard, None, None, str(int(verdict.code)), None))
            return self._refuse_link(link, now, verdict.code, verdict.rule, verdict.detail)
        return self._admit(link, verdict, token, now)

    def _admit(self, link: Link, who: Identity, token: str, now: float) -> list[Effect]:
        def note(outcome: str, session: str | None) -> None:
            self.ledger.add(Identify(now, link.id, who.shard, who.shards, who.intents, outcome, session))

        if not self.daily.spend(now):
            note("4004", None)
            self._violation(now, "daily_limit", link, f"IDENTIFY {self.daily.used} of {self.daily.total}")
            return self._revoke(token, now)
        too_soon = self.windows.attempt(who.shard, now)
        if too_soon is not None:
            note("op9", None)
            self._violation(now, "identify_window", link, f"{too_soon:.3f} s after the one before it")
            return self._refuse_session(link, now)
        place = (who.shard, who.shards)
        for other in self.sessions.on_shard(who.shard):
            holder = self.links.get(other.link) if other.link is not None else None
            if other.place == place and holder is not None and not holder.stalled:
                self._violation(now, "shard_attached_twice", link, f"connection {holder.id} has it")
        capacity = self.settings.buffer_events
        if capacity is None:
            capacity = buffer_size(len(self.world.guilds_of(*place)))
        session = Session(
            self.new_session_id(), token, place, who.intents, link.compress, capacity, link=link.id
        )
        note("ready", session.id)
        self.sessions.add(session)
        link.session = session
        link.phase = Phase.PENDING
        if self.settings.ready_delay_s <= 0:
            return self._ready(link.id, now)
        self.timers.set(now + self.settings.ready_delay_s, Greet(link.id))
        return []

    def _ready(self, link_id: int, now: float) -> list[Effect]:
        link = self.links.get(link_id)
        if link is None or link.phase is not Phase.PENDING or link.session is None:
            return []
        session = link.session
        link.phase = Phase.LIVE
        session.live = True
        ready = self.world.ready(session.id, self.resume_url(), session.place)
        effects = self._dispatch(session, Event("READY", ready, None), now)
        for guild_id in self.world.guilds_of(*session.place):
            effects += self._dispatch(session, self.world.guild_create(guild_id), now)
        return effects

    def _revoke(self, token: str, now: float) -> list[Effect]:
        """Do what Discord does to those who identify too often: end all sessions, take the token away."""
        self.revoked.add(token)
        effects: list[Effect] = []
        for link in list(self.links.values()):
            effects += self.hang_up(link, CloseCode.AUTHENTICATION_FAILED, "Authentication failed.", now)
        for session in self.sessions.all():
            self.sessions.drop(session)
        return effects

    def _refuse_session(self, link: Link, now: float) -> list[Effect]:
        """Answer op 9 false, at once or late."""
        if self.settings.invalid_session_delay_s <= 0:
            return [Send(link.id, INVALID[False])]
        link.phase = Phase.PENDING
        self.timers.set(now + self.settings.invalid_session_delay_s, Refuse(link.id))
        return []

    def _resume(self, link: Link, data: dict[str, Any], now: float) -> list[Effect]:
        token, session_id, seq = bare(data.get("token")), data.get("session_id"), data.get("seq")
        if not isinstance(session_id, str) or type(seq) is not int:
            return self._refuse_link(
                link, now, CloseCode.UNKNOWN_OPCODE, "bad_payload", "RESUME without its fields"
            )
        session = self.sessions.get(session_id)
        link.shard = session.place[0] if session else None

        def note(outcome: str, replayed: int = 0) -> None:
            self.ledger.add(Resume(now, link.id, link.host, link.shard, session_id, seq, outcome, replayed))

        if not self._token_ok(token):
            note("4004")
            return self._refuse_link(link, now, CloseCode.AUTHENTICATION_FAILED, "bad_token", "RESUME")
        if session is None or session.token != token or not session.live:
            note("op9")
            return self._refuse_session(link, now)
        if session.expires_at is not None and session.expires_at <= now:
            self.sessions.drop(session)
            note("op9")
            return self._refuse_session(link, now)
        if seq > session.seq:
            note("4007")
            return self._refuse_link(
                link, now, CloseCode.INVALID_SEQ, "invalid_seq", f"{seq} of {session.seq}"
            )
        missed = session.missed(seq)
        if missed is None:
            self.sessions.drop(session)
            note("op9")
            return self._refuse_session(link, now)
        note("resumed", len(missed))
        return self._reattach(link, session, missed, now)

    def _reattach(self, link: Link, session: Session, missed: list[bytes], now: float) -> list[Effect]:
        if session.compress != link.compress:
            self._violation(
                now, "resume_compression", link, f"{session.compress} before, {link.compress} now"
            )
        effects: list[Effect] = []
        if session.link is not None and (old := self.links.get(session.link)) is not None:
            effects += self.hang_up(old, CloseCode.UNKNOWN_ERROR, "Session resumed elsewhere.", now)
        session.link, session.expires_at = link.id, None
        link.session, link.phase = session, Phase.LIVE
        effects += [Send(link.id, payload) for payload in missed]
        effects += self._dispatch(session, Event("RESUMED", RESUMED_D, None), now)
        if link.host != "resume":
            self._violation(now, "wrong_resume_host", link, "RESUME on the host that REST names")
            if self.settings.wrong_host_close_after_s is not None:
                self.timers.set(now + self.settings.wrong_host_close_after_s, SendAway(link.id))
        return effects

    # ------------------------------------------------------------------ commands and dispatches

    def _command(self, link: Link, op: int, d: Any, now: float) -> list[Effect]:
        session = link.session
        if link.phase is not Phase.LIVE or session is None:
            return self._refuse_link(link, now, CloseCode.NOT_AUTHENTICATED, "not_authenticated", f"op {op}")
        answers = self.commands.answer(op, d, session.id, now)
        if answers is None:
            return self._refuse_link(link, now, CloseCode.UNKNOWN_OPCODE, "bad_payload", f"op {op}")
        self.ledger.add(Command(now, link.id, session.place[0], op, d))
        effects: list[Effect] = []
        for event in answers:
            effects += self._dispatch(session, event, now)
        return effects

    def happen(self, event: Event, now: float) -> list[Effect]:
        """Let an event happen in its guild: every session that it is routed to and that wants it gets it."""
        effects: list[Effect] = []
        for session in self.sessions.receivers(event):
            if session.live and session.wants(event):
                effects += self._dispatch(session, event, now)
        return effects

    def tell(self, shard: int, event: Event, now: float) -> list[Effect]:
        """Dispatch to every session of a shard, whatever the event's guild and the session's intents."""
        effects: list[Effect] = []
        for session in self.sessions.on_shard(shard):
            if session.live:
                effects += self._dispatch(session, event, now)
        return effects

    def _dispatch(self, session: Session, event: Event, now: float) -> list[Effect]:
        mangle = self.faults.next_mangle(session.place[0]) if self.faults.dispatches else None
        if mangle == "gap":
            session.seq += 5
        payload = session.stamp(event.name, session.view(event))
        self.ledger.dispatch(now, session.id, session.place, session.seq, event.name, payload)
        if session.link is None:
            return []
        if mangle == "duplicate":
            return [Send(session.link, payload), Send(session.link, payload)]
        return [Send(session.link, payload, mangle == "corrupt")]

    # ------------------------------------------------------------------ what the server does of itself

    def attached(self, shard: int) -> list[Link]:
        """Return the shard's connections that have a session."""
        return [link for link in self.links.values() if link.shard == shard and link.phase is Phase.LIVE]

    def ask_to_reconnect(self, link: Link, now: float) -> list[Effect]:
        """Send op 7; the server closes some seconds later if the client did not."""
        later = HangupLater(link.id, CloseCode.GOING_AWAY, "Discord WebSocket requesting client reconnect.")
        self.timers.set(now + self.settings.reconnect_close_after_s, later)
        return [Send(link.id, RECONNECT)]

    def invalidate(self, link: Link, now: float, *, resumable: bool) -> list[Effect]:
        """Send op 9; the connection loses its session, and the session its life unless it is resumable."""
        session = link.session
        link.session, link.phase = None, Phase.GREETED
        if session is not None:
            self._detach(session, now)
            if not resumable:
                self.sessions.drop(session)
        return [Send(link.id, INVALID[resumable])]

    def hang_up(self, link: Link, code: int, reason: str, now: float) -> list[Effect]:
        """Close a connection with a code."""
        if link.phase is Phase.OVER:
            return []
        self._leave(link, code, reason, now)
        return [Hangup(link.id, code, reason)]

    def cut(self, link: Link, now: float) -> list[Effect]:
        """Reset a connection."""
        if link.phase is Phase.OVER:
            return []
        self._leave(link, None, "", now)
        return [Cut(link.id)]

    def stall(self, link: Link, now: float, *, stalled: bool) -> list[Effect]:
        """Stop, or go on, reading and writing on an open connection; its deadlines wait meanwhile."""
        link.stalled = stalled
        link.beat_by = now + self._beat_patience_s()
        return [Freeze(link.id, stalled)]

    # ------------------------------------------------------------------ ends

    def _violation(self, now: float, rule: str, link: Link, detail: str) -> None:
        self.ledger.add(Violation(now, rule, link.shard, detail))

    def _refuse_link(self, link: Link, now: float, code: int, rule: str, detail: str) -> list[Effect]:
        self._violation(now, rule, link, detail)
        return self.hang_up(link, code, detail, now)

    def _leave(self, link: Link, code: int | None, reason: str, now: float) -> None:
        session = link.session
        self.ledger.add(
            Close(now, link.id, "server", code, reason, link.shard, session.id if session else None)
        )
        link.phase, link.session = Phase.OVER, None
        self.links.pop(link.id, None)
        if session is not None:
            self._detach(session, now)
            if code in self.settings.ending_codes:
                self.sessions.drop(session)

    def _detach(self, session: Session, now: float) -> None:
        session.link = None
        session.expires_at = now + self.settings.session_ttl_s
        self.timers.set(session.expires_at, Expire(session.id))
        if not session.live:  # nobody learned its id
            self.sessions.drop(session)
