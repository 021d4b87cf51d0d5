"""Runs one shard (does): feeds the session machine and has its effects performed, on one loop.

The way of one event: a read of the socket completes messages; each is inflated, scanned and staged;
one write appends them all to the log; only then does the log's seq move and are they pushed. Nothing
in it waits for a subscriber, the coordinator or another shard.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gwcluster.log.interface import HOLD_BYTES, LogWriter, SessionStore
from gwcluster.wire import control as c
from gwcluster.wire.exits import WorkerExit
from gwworker import guilds
from gwworker.bus_link import Control
from gwworker.commands import Commands
from gwworker.disk import Disk
from gwworker.effects import SendBeat
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
    Unsent,
)
from gwworker.gateway_link import GatewayLink
from gwworker.identity import resumable
from gwworker.line import Line
from gwworker.outlet import Outlet
from gwworker.performer import Performer
from gwworker.phases import Phase
from gwworker.scan import BadPayloadError, Dispatch, parse_ready, read, scan
from gwworker.sender import Sender
from gwworker.session import Session

PACE_BYTES: Final = 1 << 20
"""What may wait for the coordinator while we read on. A burst that is read as fast as it comes would not fit
in the fan-in's queue, and the rest of it would have to be fetched from the log."""

PACE_S: Final = 0.001
HOLD_S: Final = 0.05
"""How often to look whether a log that doesn't answer does again."""

_CLOSING: Final = Phase.CLOSING  # looked up once, for every message asks
_LIVE: Final = Phase.LIVE
_SPECIAL: Final = frozenset({"READY", "RESUMED", "RATE_LIMITED", *guilds.NAMES})

log = logging.getLogger(__name__)


class Drive:
    """One shard: its session machine, its connection, its outlet and its line to the coordinator.

    Args:
        sessions: where the session is kept from one worker to the next.
        disk: that of the log.
        jitter: returns a number from 0 up to 1, uniformly.
        clock: the loop's monotonic seconds, of this very moment: a loop's own may be of its last wake-up.
        wall: Unix seconds.
        finish: called once with the exit status when there is nothing left to do.
    """

    def __init__(
        self,
        job: c.Job,
        *,
        writer: LogWriter,
        sessions: SessionStore,
        disk: Disk,
        outlet: Outlet,
        control: Control,
        tls: ssl.SSLContext,
        user_agent: str,
        jitter: Callable[[], float],
        clock: Callable[[], float],
        wall: Callable[[], float],
        finish: Callable[[WorkerExit], None],
    ) -> None:
        self._writer = writer
        self._disk = disk
        self._outlet = outlet
        self._moves = writer.moves
        self._wall = wall
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        with disk:
            saved = sessions.load()
        self._session = Session(
            number=max(writer.session, saved.session if saved else 0),
            known=resumable(saved, job, writer.session) if saved else None,
            seq=writer.seq,
            jitter=jitter,
            now=self._clock(),
        )
        self._standing = self._session.standing
        self._line = Line(tls=tls, user_agent=user_agent, listener=self)
        self._performer = Performer(
            job,
            standing=self._standing,
            writer=writer,
            sessions=sessions,
            disk=disk,
            outlet=outlet,
            control=control,
            line=self._line,
            saved=saved,
            finish=finish,
        )
        self._sender = Sender(
            Commands(self._session.budget, intents=job.intents),
            send=self._line.send,
            unsent=self._line.unsent,
            answer=control.tell,
        )
        with disk:
            self._guilds = guilds.Guilds(Path(job.folder), self._standing.number)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._stepped = False
        self.event_at: float | None = None

    @property
    def link(self) -> GatewayLink | None:
        """The connection, for whoever has to wait for its end."""
        return self._line.link

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
                    self._performer.moved(message.gateway_url)
                self._feed(message)
            case c.PresenceChanged():
                self._performer.presents(message.presence)
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

    # The log's disk doesn't answer, and this thread is stuck in it

    def stand_in(self, now: float) -> None:
        """Send the heartbeat that is due; see `Disk.stand_in`. What Discord says waits unread."""
        if self._session.heartbeat.blind(now):
            self._performer.perform(SendBeat())

    def mind_disk(self) -> None:
        """Have written what the disk refused; to be called once a second."""
        self._outlet.retry()
        if self._writer.moves != self._moves:
            self._moves = self._writer.moves
            self._performer.keep_again()

    def disk_answered(self) -> None:
        """It does again."""
        self._session.heartbeat.sighted(self._clock())

    # The link says

    def opened(self, link: GatewayLink) -> None:
        """See `gateway_link.Listener`."""
        if link is self._line.link:
            self._line.opened(self._performer.job.compression)
            self._feed(Opened())

    def dial_failed(self, link: GatewayLink, reason: str, retry_after_s: float) -> None:
        """See `gateway_link.Listener`."""
        if link is self._line.link:
            self._feed(DialFailed(reason, retry_after_s))

    def lost(self, link: GatewayLink, code: int | None, fault: str | None) -> None:
        """See `gateway_link.Listener`."""
        if link is self._line.link:
            self._sender.shut(self._clock(), code)
            self._feed(Lost(code, fault))

    def received(self, link: GatewayLink, messages: list[tuple[bool, bytes]]) -> None:
        """Take what one read of the socket completed: the hot path."""
        now, at = self._clock(), self._wall()
        line, standing = self._line, self._standing
        self._session.heartbeat.heard(now)
        try:
            for text, message in messages:
                if link is not line.link or standing.phase is _CLOSING:
                    break
                payload = message if text else line.inflater.feed(message)
                if payload is None:
                    continue
                head = scan(payload, whole=line.inflater.whole and not text)
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
        if self._stepped:  # events alone bring nothing forward
            self._stepped = False
            self._rearm()
        waiting = self._outlet.waiting
        if (waiting > PACE_BYTES or self._writer.waiting > HOLD_BYTES) and link is line.link:
            link.pause()
            self._loop.call_later(PACE_S, self._pace, link, waiting)

    def _pace(self, link: GatewayLink, before: int) -> None:
        """Read on once the log takes it, and the coordinator has caught up or does not read."""
        waiting = self._outlet.waiting
        if self._writer.waiting > HOLD_BYTES:
            self._loop.call_later(HOLD_S, self._pace, link, waiting)
        elif PACE_BYTES < waiting < before:
            self._loop.call_later(PACE_S, self._pace, link, waiting)
        else:
            link.resume()

    def _dispatch(self, head: Dispatch, payload: bytes, now: float, at: float) -> None:
        name, seq = head
        if name in _SPECIAL and self._special(head, payload, now, at):
            return
        standing = self._standing
        if standing.accept(seq, now):
            self.event_at = now
            self._outlet.dispatch(name, payload, standing.number, seq, at)

    def _special(self, head: Dispatch, payload: bytes, now: float, at: float) -> bool:
        """Act on a dispatch that is more than news; say whether that is all that is to be done with it."""
        if head.name in guilds.NAMES:
            if self._accept(head, payload, now, at):
                self._guilds.heard(head.name, payload)
            return True
        if head.name == "RATE_LIMITED":
            self._sender.rate_limited(payload, now)
            self._stepped = True
            return False
        self._performer.at_hand = (head, payload, at)
        if head.name == "RESUMED":
            self._step(Resumed(head.seq), now)
            return True
        ready, before = parse_ready(payload, head.seq), self._standing.number
        self._step(ready, now)
        if self._standing.number != before:
            self._guilds.ready(self._standing.number, ready.guilds, at)
            self.keep()
        return True

    def _accept(self, head: Dispatch, payload: bytes, now: float, at: float) -> bool:
        if not self._standing.accept(head.seq, now):
            return False
        self.event_at = now
        self._outlet.dispatch(head.name, payload, self._standing.number, head.seq, at)
        return True

    # Feeding and performing

    def _feed(self, event: Event) -> None:
        self._step(event, self._clock())
        self._outlet.flush()
        self._rearm()

    def _step(self, event: Event, now: float) -> None:
        self._stepped = True
        was_live = self._standing.phase is _LIVE
        effects = self._session.step(event, now)
        if was_live and self._standing.phase is not _LIVE:
            self._sender.shut(now)  # first of all: what a bot wants sent must not go where no session is
        unsent = [effect for effect in effects if not self._performer.perform(effect)]
        if unsent:
            self._step(Unsent(), now)
        if not was_live and self._standing.phase is _LIVE:
            self._sender.opened(now)

    @property
    def _due(self) -> float | None:
        session, sender = self._session.due, self._sender.due
        return sender if session is None or (sender is not None and sender < session) else session

    def _rearm(self) -> None:
        """Keep a timer that is not later than the session's `due`; an early one only looks again."""
        due = self._due
        if self._timer is not None:
            if due is not None and self._timer_at <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer_at = due
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

    def keep(self) -> None:
        """Write down, for the next worker, what only READY told."""
        with self._disk:
            self._guilds.keep()

    def beacon(self) -> None:
        """Publish a beacon."""
        self._performer.beacon()

    def pulse(self, unpushed: int) -> c.Pulse:
        """Return the figures of this moment."""
        now, heartbeat = self._clock(), self._session.heartbeat
        return c.Pulse(
            events=self._outlet.events,
            unpushed=unpushed,
            duplicates=self._standing.duplicates,
            gaps=self._standing.gaps,
            unknown_ops=self._session.unknown_ops,
            latency_s=heartbeat.latency_s,
            event_age_s=None if self.event_at is None else now - self.event_at,
            ack_age_s=None if heartbeat.acked_at is None else now - heartbeat.acked_at,
            resumes=self._performer.resumes,
            identifies=self._performer.identifies,
            session=self._standing.number,
            offset=self._writer.next_offset - 1,
            degraded=self._writer.degraded or self._disk.silence,
            heartbeat_s=heartbeat.interval_s or None,
            guilds=self._guilds.count,
            session_age_s=self._guilds.age_s(self._standing.number, self._wall()),
        )
