"""Performs what a session machine asks for (does): one method call for each effect."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, assert_never

from gwcluster.errors import LogError
from gwcluster.log.interface import LogWriter, SessionStore
from gwcluster.log.session_state import SavedSession
from gwcluster.wire import control as c
from gwcluster.wire.exits import WorkerExit
from gwcluster.wire.notices import SESSION_LOST, SHARD_STATE, session_lost, shard_state
from gwworker import effects as do
from gwworker.bus_link import Control
from gwworker.disk import Disk
from gwworker.identity import beat_payload, identify_payload, resume_payload, saved_session
from gwworker.line import Line
from gwworker.outlet import Outlet
from gwworker.phases import Phase
from gwworker.scan import Dispatch
from gwworker.standing import Standing

log = logging.getLogger(__name__)


class Performer:
    """The hands of one shard.

    Args:
        job: of the worker.
        standing: where the session machine stands.
        writer: of the shard's log; asked how far it is.
        sessions: where the session is kept for the next worker.
        disk: that of the log.
        outlet: takes dispatches and notices.
        control: to the coordinator.
        line: to the gateway.
        saved: session that is kept beside the log.
        finish: called with the exit status when there is nothing left to do.

    Attributes:
        job: with the newest address of the gateway.
        at_hand: the dispatch that is fed to the machine, its payload and the Unix seconds at which it came.
        resumes: RESUMEs sent.
        identifies: IDENTIFYs sent.
        saved: the session as it is kept beside the log, None without one.
    """

    def __init__(
        self,
        job: c.Job,
        *,
        standing: Standing,
        writer: LogWriter,
        sessions: SessionStore,
        disk: Disk,
        outlet: Outlet,
        control: Control,
        line: Line,
        saved: SavedSession | None,
        finish: Callable[[WorkerExit], None],
    ) -> None:
        self.job = job
        self.at_hand: tuple[Dispatch, bytes, float] | None = None
        self.resumes = 0
        self.identifies = 0
        self.saved = saved
        self._sessions = sessions
        self._standing = standing
        self._writer = writer
        self._disk = disk
        self._outlet = outlet
        self._control = control
        self._line = line
        self._finish = finish

    def moved(self, gateway_url: str) -> None:
        """The gateway has another address; from now on, dial that one to identify."""
        self.job = replace(self.job, gateway_url=gateway_url)

    def presents(self, presence: dict[str, Any] | None) -> None:
        """The next IDENTIFY tells this presence."""
        self.job = replace(self.job, presence=presence)

    def perform(self, effect: do.Effect) -> bool:
        """Do what the machine asks for; False when IDENTIFY or RESUME could not be sent."""
        match effect:
            case do.Deliver():
                assert self.at_hand is not None, "only a dispatch is delivered"
                head, payload, at = self.at_hand
                self._outlet.dispatch(head.name, payload, self._standing.number, head.seq, at)
            case do.SendBeat():
                self._line.send(beat_payload(self._seq))
            case do.Report():
                self._report(effect)
            case do.Say():
                log.log(effect.level, effect.text)
            case do.Dial():
                self._line.dial(self.job, effect.resume_url)
            case do.Hangup():
                self._line.hang_up(effect.code)
            case do.Abort():
                self._line.abort()
            case do.SendIdentify() | do.SendResume():
                return self._begin(effect)
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
                lost = session_lost(self.job.shard, effect.session, self._writer.seq, effect.reason)
                self._outlet.notice(SESSION_LOST, lost, effect.session)
            case do.GiveUp():
                self._control.tell(c.Refused(effect.cluster, effect.code, effect.reason))
                self._finish(WorkerExit.REFUSED if effect.cluster else WorkerExit.SHARD_REFUSED)
            case _:
                assert_never(effect)
        return True

    def _begin(self, effect: do.SendIdentify | do.SendResume) -> bool:
        if isinstance(effect, do.SendIdentify):
            if not self._line.send(identify_payload(self.job)):
                return False
            self.identifies += 1
            self._control.tell(c.PermitUsed(0.0))
        else:
            self._outlet.mark()
            if not self._line.send(resume_payload(self.job, effect.session_id, self._seq)):
                return False
            self.resumes += 1
        return True

    def _keep(self, effect: do.Remember | do.Forget) -> None:
        """Save or remove the session; a disk that refuses must not end a connection that works."""
        try:
            self.saved = saved_session(self.job, effect) if isinstance(effect, do.Remember) else None
            with self._disk:
                if self.saved is not None:
                    self._sessions.save(self.saved)
                else:
                    self._sessions.forget()
        except LogError as error:
            log.error("the session can't be kept for a restart: %s", error)

    def keep_again(self) -> None:
        """The log's folder is another one: save the session there, too."""
        if self.saved is None:
            return
        try:
            with self._disk:
                self._sessions.save(self.saved)
        except LogError as error:
            log.error("the session can't be kept for a restart: %s", error)

    @property
    def _seq(self) -> int | None:
        """The session's last seq in the log; while the log lacks even its READY, the last received."""
        session, seq = self._writer.last_received  # at once: the writer may be at work in another thread
        if self._standing.seq is None or session != self._standing.number:
            return self._standing.seq
        return seq

    def _report(self, report: do.Report) -> None:
        said = shard_state(self.job.shard, report.state, report.reason)
        self._outlet.notice(SHARD_STATE, said, self._standing.number)
        self._outlet.after(partial(self._tell, report))  # who hears that it is live must find it in the log
        if self._standing.phase is Phase.LIVE:
            asyncio.get_running_loop().call_soon(self.beacon)
        if self._standing.phase is Phase.STOPPED:
            self._finish(WorkerExit.DONE)

    def _tell(self, report: do.Report) -> None:
        self._control.tell(c.StateChanged(report.state, report.reason, self._writer.degraded))

    def beacon(self) -> None:
        """Publish a beacon."""
        self._outlet.beacon(self._standing.number)
