"""Runs one shard (does): feeds the session machine and performs its effects, on one loop.

The way of one event: a read of the socket completes messages; each is inflated, scanned and staged;
one write appends them all to the log; only then does the log's seq move and are they pushed. Nothing
in it waits for a subscriber, the coordinator or another shard.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, assert_never

from gwcluster.discord import GatewayUrlError, gateway_url
from gwcluster.errors import LogError
from gwcluster.log.session_state import forget, load, save
from gwcluster.log.writer import Writer
from gwcluster.wire import control as c
from gwcluster.wire.exits import WorkerExit
from gwcluster.wire.notices import SESSION_LOST, SHARD_STATE, session_lost, shard_state
from gwworker import effects as do
from gwworker.bus_link import Control
from gwworker.commands import Commands
from gwworker.events import (
    DialFailed,
    Doubted,
    Draining,
    Event,
    Faulty,
    Lost,
    Opened,
    Permitted,
    Resumed,
    Slept,
    Tick,
)
from gwworker.gateway_link import GatewayLink
from gwworker.identity import beat_payload, identify_payload, resumable, resume_payload, saved_session
from gwworker.inflate import Inflater, Plain, inflater
from gwworker.outlet import Outlet
from gwworker.phases import Phase
from gwworker.scan import BadPayloadError, Dispatch, parse_ready, read, scan
from gwworker.sender import Sender
from gwworker.session import Session

_CLOSING: Final = Phase.CLOSING  # looked up once, for every message asks
_LIVE: Final = Phase.LIVE
_SPECIAL: Final = frozenset({"READY", "RESUMED", "RATE_LIMITED"})

log = logging.getLogger(__name__)


class Drive:
    """One shard: its session machine, its connection, its outlet and its line to the coordinator.

    Args:
        jitter: returns a number from 0 up to 1, uniformly.
        wall: Unix seconds.
        finish: called once with the exit status when there is nothing left to do.
    """

    def __init__(
        self,
        job: c.Job,
        *,
        writer: Writer,
        outlet: Outlet,
        control: Control,
        tls: ssl.SSLContext,
        user_agent: str,
        jitter: Callable[[], float],
        wall: Callable[[], float],
        finish: Callable[[WorkerExit], None],
    ) -> None:
        self._job = job
        self._folder = Path(job.folder)
        self._writer = writer
        self._outlet = outlet
        self._control = control
        self._tls = tls
        self._user_agent = user_agent
        self._wall = wall
        self._finish = finish
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        saved = load(self._folder)
        self._session = Session(
            number=max(writer.session, saved.session if saved else 0),
            known=resumable(saved, job, writer.session) if saved else None,
            seq=writer.seq,
            jitter=jitter,
            now=self._clock(),
        )
        self._sender = Sender(
            Commands(self._session.budget), send=self._send, unsent=self._unsent, answer=control.tell
        )
        self._link: GatewayLink | None = None
        self._inflater: Inflater = Plain()
        self._at_hand: tuple[Dispatch, bytes, float] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.resumes = 0
        self.identifies = 0
        self.event_at: float | None = None

    @property
    def link(self) -> GatewayLink | None:
        """The connection, for whoever has to wait for its end."""
        return self._link

    def begin(self) -> None:
        """Start; the first step dials."""
        self._rearm()

    # The coordinator says

    def heard(self, message: c.Message) -> None:
        """Take a control message."""
        match message:
            case c.Permit():
                self._feed(Permitted(message.until))
            case c.Conditions():
                if message.gateway_url is not None:
                    self._job = replace(self._job, gateway_url=message.gateway_url)
                self._feed(message)
            case c.Command():
                self._sender.heard(message, self._clock())
                self._rearm()
            case _:
                log.warning("a %s message is not for a worker; ignored", type(message).__name__)

    def drain(self) -> None:
        """Stop, and keep the session."""
        self._feed(Draining("asked to stop"))

    # The clocks say

    def surprised(self, surprise: Slept | Doubted) -> None:
        """The machine was suspended, or its clock was moved."""
        self._feed(surprise)

    # The link says

    def opened(self, link: GatewayLink) -> None:
        """See `gateway_link.Listener`."""
        if link is self._link:
            self._inflater = inflater(self._job.compression)
            self._feed(Opened())

    def dial_failed(self, link: GatewayLink, reason: str, retry_after_s: float) -> None:
        """See `gateway_link.Listener`."""
        if link is self._link:
            self._feed(DialFailed(reason, retry_after_s))

    def lost(self, link: GatewayLink, code: int | None, fault: str | None) -> None:
        """See `gateway_link.Listener`."""
        if link is self._link:
            self._sender.shut(self._clock(), code)
            self._feed(Lost(code, fault))

    def received(self, link: GatewayLink, messages: list[tuple[bool, bytes]]) -> None:
        """Take what one read of the socket completed: the hot path."""
        now, at = self._clock(), self._wall()
        self._session.heartbeat.heard(now)
        try:
            for text, message in messages:
                if link is not self._link or self._session.phase is _CLOSING:
                    break
                payload = message if text else self._inflater.feed(message)
                if payload is None:
                    continue
                head = scan(payload, whole=self._inflater.whole and not text)
                if head is not None:
                    self._dispatch(head, payload, now, at)
                    continue
                for said, piece in read(payload):
                    if isinstance(said, Dispatch):
                        self._dispatch(said, piece, now, at)
                    else:
                        self._step(said, now)
        except BadPayloadError as error:
            self._step(Faulty(str(error)), now)
        self._outlet.flush()
        self._rearm()

    def _dispatch(self, head: Dispatch, payload: bytes, now: float, at: float) -> None:
        name, seq = head
        if name in _SPECIAL and self._special(head, payload, now, at):
            return
        if self._session.standing.accept(seq, now):
            self.event_at = now
            self._outlet.dispatch(name, payload, self._session.standing.number, seq, at)

    def _special(self, head: Dispatch, payload: bytes, now: float, at: float) -> bool:
        """Act on a dispatch that is more than news; say whether that is all that is to be done with it."""
        if head.name == "RATE_LIMITED":
            self._sender.rate_limited(payload, now)
            return False
        self._at_hand = (head, payload, at)
        self._step(parse_ready(payload, head.seq) if head.name == "READY" else Resumed(head.seq), now)
        return True

    # Feeding and performing

    def _feed(self, event: Event) -> None:
        self._step(event, self._clock())
        self._outlet.flush()
        self._rearm()

    def _step(self, event: Event, now: float) -> None:
        was_live = self._session.phase is _LIVE
        effects = self._session.step(event, now)
        if was_live and self._session.phase is not _LIVE:
            self._sender.shut(now)  # first of all: what a bot wants sent must not go where no session is
        for effect in effects:
            self._perform(effect)
        if not was_live and self._session.phase is _LIVE:
            self._sender.opened(now)

    @property
    def _due(self) -> float | None:
        session, sender = self._session.due, self._sender.due
        return sender if session is None or (sender is not None and sender < session) else session

    def _rearm(self) -> None:
        """Keep a timer that is not later than the session's `due`; an early one only looks again."""
        due = self._due
        if self._timer is not None:
            if due is not None and self._timer.when() <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        if self._sender.due is not None and now >= self._sender.due:
            self._sender.tick(now)
        if self._session.due is not None and now >= self._session.due:
            self._feed(Tick())
        else:
            self._rearm()

    def _perform(self, effect: do.Effect) -> None:
        match effect:
            case do.Deliver():
                assert self._at_hand is not None, "only a dispatch is delivered"
                head, payload, at = self._at_hand
                self._outlet.dispatch(head.name, payload, self._session.standing.number, head.seq, at)
            case do.SendBeat():
                self._send(beat_payload(self._seq))
            case do.Report():
                self._report(effect)
            case do.Say():
                log.log(effect.level, effect.text)
            case do.Dial() | do.Hangup() | do.Abort() | do.SendIdentify() | do.SendResume():
                self._connect(effect)
            case do.AskPermit():
                self._control.tell(c.AskPermit())
            case do.WithdrawPermit():
                self._control.tell(c.WithdrawPermit())
            case do.ReturnPermit():
                self._control.tell(c.PermitUnused())
            case do.TellIdentifyRefused():
                self._control.tell(c.IdentifyRefused())
            case do.TellHostFailed():
                self._control.tell(c.HostFailed(effect.url))
            case do.TellSentAway():
                self._control.tell(c.SentAway())
            case do.Remember() | do.Forget():
                self._keep(effect)
            case do.TellLost():
                lost = session_lost(self._job.shard, effect.session, self._writer.seq, effect.reason)
                self._outlet.notice(SESSION_LOST, lost, effect.session)
            case do.GiveUp():
                self._control.tell(c.Refused(effect.cluster, effect.code, effect.reason))
                self._finish(WorkerExit.REFUSED if effect.cluster else WorkerExit.SHARD_REFUSED)
            case _:
                assert_never(effect)

    def _keep(self, effect: do.Remember | do.Forget) -> None:
        """Save or remove the session; a disk that refuses must not end a connection that works."""
        try:
            if isinstance(effect, do.Remember):
                save(self._folder, saved_session(self._job, effect))
            else:
                forget(self._folder)
        except LogError as error:
            log.error("the session can't be kept for a restart: %s", error)

    def _connect(self, effect: do.Dial | do.Hangup | do.Abort | do.SendIdentify | do.SendResume) -> None:
        match effect:
            case do.Dial():
                self._dial(effect.resume_url)
            case do.Hangup() if self._link is not None:
                self._link.hang_up(effect.code)
            case do.Abort() if self._link is not None:
                self._link.abort()
                self._link = None
            case do.SendIdentify():
                self._send(identify_payload(self._job))
                self.identifies += 1
                self._control.tell(c.PermitUsed(0.0))
            case do.SendResume():
                self._outlet.mark()
                self._send(resume_payload(self._job, effect.session_id, self._seq))
                self.resumes += 1

    def _dial(self, resume_url: str | None) -> None:
        job = self._job
        try:
            url = gateway_url(resume_url or job.gateway_url, job.compression, plain_ok=job.plain_ok)
        except GatewayUrlError as error:
            log.warning("resume address refused: %s", error)
            url = gateway_url(job.gateway_url, job.compression, plain_ok=job.plain_ok)
        self._link = GatewayLink(url, tls=self._tls, listener=self, user_agent=self._user_agent)

    @property
    def _seq(self) -> int | None:
        """The session's last seq in the log; while the log lacks even its READY, the last received."""
        if self._session.standing.seq is None or self._writer.session != self._session.standing.number:
            return self._session.standing.seq
        return self._writer.seq

    def _send(self, payload: bytes) -> bool:
        return self._link is not None and self._link.send(payload)

    def _unsent(self) -> int:
        return 0 if self._link is None else self._link.unsent

    def _report(self, report: do.Report) -> None:
        said = shard_state(self._job.shard, report.state, report.reason)
        self._outlet.notice(SHARD_STATE, said, self._session.standing.number)
        self._control.tell(c.StateChanged(report.state, report.reason, self._writer.degraded))
        if self._session.phase is Phase.LIVE:
            self._loop.call_soon(self.beacon)
        if self._session.phase is Phase.STOPPED:
            self._finish(WorkerExit.DONE)

    def beacon(self) -> None:
        """Publish a beacon."""
        self._outlet.beacon(self._session.standing.number)

    def pulse(self, unpushed: int) -> c.Pulse:
        """Return the figures of this moment."""
        now, heartbeat = self._clock(), self._session.heartbeat
        return c.Pulse(
            events=self._outlet.events,
            unpushed=unpushed,
            duplicates=self._session.standing.duplicates,
            gaps=self._session.standing.gaps,
            unknown_ops=self._session.unknown_ops,
            latency_s=heartbeat.latency_s,
            event_age_s=None if self.event_at is None else now - self.event_at,
            ack_age_s=None if heartbeat.acked_at is None else now - heartbeat.acked_at,
            resumes=self.resumes,
            identifies=self.identifies,
            session=self._session.standing.number,
            offset=self._writer.next_offset - 1,
            degraded=self._writer.degraded,
        )
