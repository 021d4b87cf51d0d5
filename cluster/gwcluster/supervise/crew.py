"""All shards of a cluster at work (does).

Performs what supervisor and gate decide, tells them what happened, and sleeps until something is due.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Final

from gwcluster.board import Board
from gwcluster.herald import Herald
from gwcluster.identify.permits import Permits
from gwcluster.supervise.commands import Commands
from gwcluster.supervise.farewells import Farewells
from gwcluster.supervise.grapevine import Grapevine
from gwcluster.supervise.headcount import Headcount
from gwcluster.supervise.nursery_link import Listener, NurseryLink, WorkerLink
from gwcluster.supervise.pulses import SILENT_S, Pulses
from gwcluster.supervise.supervisor import Effect, Kill, Severity, Start, Supervisor, Verdict
from gwcluster.wire.control import (
    CommandDone,
    HostFailed,
    Job,
    Message,
    Pulse,
    Refused,
    SentAway,
    StateChanged,
)
from gwcluster.wire.exits import Exit, WorkerExit
from gwcluster.wire.notices import ShardState

DRAIN_S: Final = 6.0
"""What workers get to stop by themselves, of the ten seconds that a whole stop may take."""

_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}

log = logging.getLogger(__name__)


class Crew:
    """The workers of one cluster and the nursery that forks them.

    Args:
        board: what is known of each shard; kept up to date here.
        supervisor: decides who is started, stopped and killed.
        herald: tells subscribers.
        job: what a shard's worker is to do.
        nursery: makes the line to a new nursery, which is started here.
        clock: monotonic seconds.
        wall: Unix seconds.

    Attributes:
        permits: set once, before `run`.
        commands: what bots want sent; None: nobody can ask.
        advise: words for what helps against a refusal.
        grapevine: passes on to workers what they should know of each other.
        farewells: whether subscribers heard the last words of workers.
    """

    permits: Permits
    commands: Commands | None = None

    def __init__(
        self,
        *,
        board: Board,
        supervisor: Supervisor,
        herald: Herald,
        job: Callable[[int], Job],
        nursery: Callable[[Listener], NurseryLink],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.board = board
        self.supervisor = supervisor
        self._herald = herald
        self._job = job
        self._make_nursery = nursery
        self._clock = clock
        self._wall = wall
        self.advise: Callable[[Refused], str] = lambda _: ""
        self.grapevine = Grapevine(self._tell_all, clock)
        self.farewells = Farewells()
        self._nursery: NurseryLink | None = None
        self._links: dict[int, WorkerLink] = {}
        self._pulses = Pulses()
        self._refusals: dict[int, str] = {}
        self._dying: dict[int, int] = {}
        self._news = asyncio.Event()
        self._headcount = Headcount()

    async def run(self) -> Exit:
        """Work until every worker has stopped, and none is to be started."""
        try:
            while not self.supervisor.finished:
                self._news.clear()
                for effect in self.supervisor.step(self._clock()):
                    await self._perform(effect)
                for shard in self._pulses.look(self._clock()):
                    self._end_hanging(shard)
                if self.supervisor.refused is None:
                    self.permits.step()
                await self._until_due()
        finally:
            if self._nursery is not None:
                await self._nursery.stop()
        await self.farewells.heard()
        return self._status()

    def drain(self) -> None:
        """Ask every worker to stop; `run` returns when they have."""
        self.supervisor.drain(self._clock(), DRAIN_S)
        self._news.set()

    def abandon(self) -> None:
        """Kill every worker at once; their sessions stay resumable."""
        self.supervisor.drain(self._clock(), 0.0)
        self._news.set()

    def refuse(self, reason: str) -> None:
        """Discord refused the cluster outside of any shard's connection: nobody identifies any more."""
        self.supervisor.refused = self.supervisor.refused or reason
        self._stop_the_hopeless()
        self._news.set()

    def release(self) -> None:
        """Discord answered: shards that waited for that start, and permits may leave."""
        self.supervisor.release(self._clock())
        self._news.set()

    def tell(self, shard: int, message: Message) -> None:
        """Send a message to a shard's worker, if it has one."""
        if shard in self._links:
            self._links[shard].tell(message)

    def _tell_all(self, message: Message) -> None:
        for link in self._links.values():
            link.tell(message)

    def has_worker(self, shard: int) -> bool:
        """Say whether a shard has a worker that hears what it is told."""
        return shard in self._links

    def publish_counts(self) -> None:
        """Tell subscribers how many shards are live, and the log when there is news; every few seconds."""
        counts = self.board.counts
        self._herald.cluster(counts)
        if self.supervisor.draining:
            return
        if (said := self._headcount.look(counts, self._clock())) is not None:
            log.log(*said)

    # The nursery and the workers say

    def forked(self, shard: int, pid: int) -> None:
        """See `nursery_link.Listener`."""
        self.supervisor.started(shard, pid, self._clock())
        self._pulses.began(shard, self._clock())
        self.board.views[shard].pid = pid
        self._news.set()

    def exited(self, shard: int, pid: int, status: int) -> None:
        """See `nursery_link.Listener`. What it said last may still be on the way: listen first."""
        log.debug("shard %d: process %d ended with status %d", shard, pid, status)
        self._dying[shard] = pid
        link = self._links.pop(shard, None)
        if link is None:
            self._bury(shard, pid, status)
        else:
            link.when_closed(lambda: self._bury(shard, pid, status))

    def _bury(self, shard: int, pid: int, status: int) -> None:
        if self._dying.pop(shard, None) != pid:
            return  # the nursery died meanwhile, and everybody was buried with it
        verdict = self.supervisor.exited(shard, status, self._clock())
        if status == WorkerExit.DONE and self.supervisor.draining:
            self.farewells.said(shard)
        self._gone(shard)
        self._say(verdict)
        self._note_death(shard, str(verdict))
        self._stop_the_hopeless()
        self._news.set()

    def nursery_ended(self, status: int) -> None:
        """See `nursery_link.Listener`."""
        log.warning("the nursery ended with status %d", status)
        self._nursery = None
        self._dying.clear()
        running = set(self.supervisor.children)
        given_up = set(self.supervisor.failed)
        verdict = self.supervisor.nursery_died(self._clock())
        for shard in running:
            if (link := self._links.pop(shard, None)) is not None:
                link.close()
            self._gone(shard)
        for shard in sorted(running | (self.supervisor.failed.keys() - given_up)):
            self._note_death(shard, "the nursery ended")
        self._say(verdict)
        self._stop_the_hopeless()
        self._news.set()

    def said(self, shard: int, message: Message) -> None:
        """See `nursery_link.Listener`."""
        self._pulses.heard(shard, self._clock())
        if isinstance(message, CommandDone):
            if self.commands is not None:
                self.commands.heard(message)
            return  # nothing to supervise
        now = self._wall()
        match message:
            case StateChanged():
                self._state_changed(shard, message, now)
            case Pulse():
                self.board.beat(shard, message, now)
                self.grapevine.remind()
            case Refused():
                self._refused(shard, message)
            case HostFailed() | SentAway():
                self.grapevine.heard(shard, message)
            case _:
                if not self.permits.heard(shard, message):
                    log.error("shard %d: a %s message is not for us", shard, type(message).__name__)
        self._news.set()

    def _refused(self, shard: int, message: Refused) -> None:
        reason = self._refusals[shard] = message.reason + self.advise(message)
        if not message.cluster:
            log.error("Discord refuses shard %d: %s", shard, reason)
        elif self.supervisor.refused is None:
            log.error("Discord refuses the cluster: %s", reason)
            self.supervisor.refused = reason  # the worker's exit is next, and what has to stop then stops
        else:  # said once is enough for whoever has to act, however many shards hear it
            log.warning("Discord refuses the cluster, shard %d heard, too: %s", shard, reason)

    def _state_changed(self, shard: int, message: StateChanged, now: float) -> None:
        try:
            state = ShardState(message.state)
        except ValueError:
            log.error("shard %d: unknown state %r", shard, message.state)
            return
        self.board.views[shard].degraded = message.degraded
        changed = self.board.changed(shard, state, message.reason, now)
        self.grapevine.seen(shard, state)
        if state in {ShardState.BACKOFF, ShardState.RESUMING, ShardState.LIVE}:
            self.permits.needs_none(shard)
        if state is ShardState.BACKOFF:
            self.permits.left(shard)
        if state is ShardState.LIVE:
            self.supervisor.live(shard, self._clock())
            if self.permits.live(shard):
                self.grapevine.ready()
        self._stop_the_hopeless()
        if changed:
            self.publish_counts()

    # What follows

    def _stop_the_hopeless(self) -> None:
        """When Discord refuses the cluster nobody identifies any more; sessions that live may go on."""
        refused = self.supervisor.refused
        if refused is None:
            return
        for shard, view in self.board.views.items():
            if view.state is ShardState.QUEUED:
                self.supervisor.stop(shard, self._clock())
            elif shard not in self.supervisor.children and shard not in self.supervisor.failed:
                self.supervisor.failed[shard] = refused  # it waited for its start, which won't come
                self._note_death(shard, refused)

    def _end_hanging(self, shard: int) -> None:
        """Kill a worker that neither works nor dies; its successor resumes."""
        pid = self.supervisor.children.get(shard)
        if self._nursery is not None and pid is not None:
            log.error("shard %d: its worker said nothing for %.0f s; killing it", shard, SILENT_S)
            self._nursery.signal(pid, signal.SIGKILL)

    def _gone(self, shard: int) -> None:
        self._pulses.gone(shard)
        self.grapevine.seen(shard, ShardState.STARTING)
        self.permits.worker_ended(shard)
        self.board.gone(shard)
        if self.commands is not None:
            self.commands.worker_ended(shard)

    def _note_death(self, shard: int, why: str) -> None:
        now = self._wall()
        if shard in self.supervisor.failed:
            reason = self._refusals.get(shard) or self.supervisor.failed[shard]
            if self.board.changed(shard, ShardState.FAILED, reason, now):
                self._herald.failed(shard, reason)
        elif self.supervisor.draining:
            self.board.changed(shard, ShardState.STOPPED, why, now)
        else:
            self.board.views[shard].restarts += 1
            self.board.changed(shard, ShardState.STARTING, why, now)
        self.publish_counts()

    def _say(self, verdict: Verdict) -> None:
        log.log(_LEVELS[verdict.severity], verdict.text)

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Start():
                await self._start(effect.shard)
            case Kill():
                pid = self.supervisor.children.get(effect.shard)
                if self._nursery is not None and pid is not None:
                    self._nursery.signal(pid, effect.signal)

    async def _start(self, shard: int) -> None:
        if shard not in self.supervisor.children:
            return  # the nursery could not be started a moment ago; its supervisor says when to try again
        if self._nursery is None:
            self._nursery = self._make_nursery(self)
            try:
                await self._nursery.start()
            except OSError as error:
                log.error("the nursery can't be started: %s", error)
                self.nursery_ended(Exit.FAILED)
                return
        link = self._nursery.fork(shard)
        link.tell(self._job(shard))
        link.tell(self.grapevine.known)
        self._links[shard] = link

    async def _until_due(self) -> None:
        permits_due = self.permits.due if self.supervisor.refused is None else None
        dues = (self.supervisor.due, permits_due, self._pulses.due)
        moments = [moment for moment in dues if moment is not None]
        wait_s = max(0.0, min(moments) - self._clock()) if moments else None
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            pass

    def _status(self) -> Exit:
        if self.supervisor.draining:
            return Exit.DONE
        if self.supervisor.refused is not None:
            log.error("no shard runs: Discord refuses the cluster: %s", self.supervisor.refused)
            return Exit.REFUSED
        if self._refusals.keys() >= self.supervisor.failed.keys():
            log.error("no shard runs: Discord refused each of them: %s", next(iter(self._refusals.values())))
            return Exit.REFUSED
        log.error("no shard runs: all have failed")
        return Exit.FAILED
