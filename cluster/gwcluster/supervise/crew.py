"""All shards of a cluster at work (does).

Performs what supervisor and gate decide, tells them what happened, and sleeps until something is due.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any, Final

from gwcluster.board import Board
from gwcluster.config import Retention
from gwcluster.herald import Herald
from gwcluster.identify.permits import Permits
from gwcluster.supervise.commands import Commands
from gwcluster.supervise.farewells import Farewells
from gwcluster.supervise.grapevine import Grapevine
from gwcluster.supervise.headcount import Headcount
from gwcluster.supervise.nurseries import Nurseries
from gwcluster.supervise.nursery_link import Listener, NurseryLink, WorkerLink
from gwcluster.supervise.pulses import SILENT_S, Pulses
from gwcluster.supervise.rolling import Look, Rolled, Rolling
from gwcluster.supervise.supervisor import Effect, Kill, Severity, Start, Supervisor, Verdict
from gwcluster.wire.control import (
    CommandDone,
    HostFailed,
    Job,
    Message,
    PresenceChanged,
    Pulse,
    Refused,
    SentAway,
    StateChanged,
)
from gwcluster.wire.exits import Exit, WorkerExit
from gwcluster.wire.notices import ShardState

DRAIN_S: Final = 6.0
"""What workers get to stop by themselves, of the ten seconds that a whole stop may take."""

RECOUNT_S: Final = 0.1
"""Between two counts for the sake of changes, at least: a start has thousands of them within seconds."""

LOOK_S: Final = 0.1
"""How often to look whether a new nursery is up."""

_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}

log = logging.getLogger(__name__)


class Crew:
    """The workers of one cluster and the nurseries that fork them.

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
        on_change: called when a shard's state has changed.
        before_pass: called before each look at what is to be done.
        holder: tells which host runs a shard, None: none, or nobody knows.
        rolled: the last rolling restart that ended.
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
        self._nurseries = Nurseries(self, nursery)
        self._clock = clock
        self._wall = wall
        self.advise: Callable[[Refused], str] = lambda _: ""
        self.grapevine = Grapevine(self._tell_all, clock)
        self.farewells = Farewells()
        self.on_change: Callable[[], None] = lambda: None
        self.before_pass: Callable[[], None] = lambda: None
        self.holder: Callable[[int], str | None] = lambda _: None
        self._rolling: Rolling | None = None
        self._renewed = False
        self.rolled: Rolled | None = None
        self._links: dict[int, WorkerLink] = {}
        self._pulses = Pulses()
        self._refusals: dict[int, str] = {}
        self._dying: dict[int, int] = {}
        self._news = asyncio.Event()
        self._headcount = Headcount()
        self._counted_at = float("-inf")
        self._uncounted = False  # a state has changed since

    async def run(self) -> Exit:
        """Work until every worker has stopped, and none is to be started."""
        try:
            while not self.supervisor.finished:
                self._news.clear()
                self.before_pass()
                for effect in self.supervisor.step(self._clock()):
                    await self._perform(effect)
                await self._roll_on()
                for shard in self._pulses.look(self._clock()):
                    self._end_hanging(shard)
                if self.supervisor.refused is None:
                    self.permits.step()
                if self._uncounted and (now := self._clock()) >= self._counted_at + RECOUNT_S:
                    self._counted_at = now
                    self.publish_counts()
                await self._until_due()
        finally:
            await self._nurseries.close()
        self.publish_counts()
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

    # Other hosts

    def take(self, shard: int) -> None:
        """Run a shard from now on."""
        self.supervisor.take(shard, self._clock())
        self._refusals.pop(shard, None)
        if not self.supervisor.runs(shard) and self.board.changed(
            shard, ShardState.STARTING, "this host is to run it", self._wall()
        ):
            self._changed()
        self._news.set()

    def give_up(self, shard: int, why: str, *, at_once: bool = False) -> None:
        """Run a shard no more: another host does, or may. Its worker gets time to stop, or is killed."""
        now = self._clock()
        if at_once:
            self.supervisor.give_up(shard, now, 0.0)
        else:
            self.supervisor.give_up(shard, now)
        if not self.supervisor.runs(shard) and self.board.changed(
            shard, ShardState.ELSEWHERE, why, self._wall()
        ):
            self._changed()
        self._news.set()

    def wake(self) -> None:
        """Look soon what is to be done."""
        self._news.set()

    @property
    def live(self) -> set[int]:
        """Shards that are live here."""
        return {shard for shard, view in self.board.views.items() if view.state is ShardState.LIVE}

    # Operators want

    def retain(self, retention: Retention) -> None:
        """Keep so much of the logs of failed shards; workers are told with their job."""
        self._herald.retain(retention)
        self._news.set()

    def present(self, presence: dict[str, Any] | None) -> None:
        """Tell this presence with every IDENTIFY from now on."""
        self._tell_all(PresenceChanged(presence))

    def restart(self, shard: int) -> str | None:
        """Restart a shard's worker, also out of backoff or failure; None: it will be done, else why not."""
        why = self.supervisor.restart(shard, self._clock())
        if why is None:
            log.info("shard %d: an operator has it restarted", shard)
            self._revived(shard)
        elif shard in self.supervisor.away and (host := self.holder(shard)) is not None:
            return f"{why}, but by host {host}: ask that one"
        return why

    def restart_all(self) -> str | None:
        """The same for every shard, over two seconds."""
        why = self.supervisor.restart_all(self._clock())
        if why is None:
            log.info("an operator has all shards restarted")
            for shard in self.board.views.keys() - self.supervisor.away:
                self._revived(shard)
        return why

    def roll(self) -> str | None:
        """Replace one worker after the other, by new ones with the code that is installed now.

        Who is live goes first, and what doesn't run needn't be replaced.
        """
        if self.supervisor.draining:
            return "the cluster is stopping"
        if self.supervisor.refused is not None:
            return f"Discord refuses the cluster: {self.supervisor.refused}"
        if (rolling := self.rolling) is not None:
            return f"a rolling restart is under way: {rolling.done} of {rolling.total} shards are done"
        live = self.live
        self._rolling = Rolling(
            sorted(self.supervisor.children, key=lambda shard: (shard not in live, shard))
        )
        self._renewed = False
        log.info("rolling restart of %d shards: starting a new nursery", self._rolling.total)
        self._news.set()
        return None

    @property
    def rolling(self) -> Rolled | None:
        """The rolling restart that goes on."""
        return None if self._rolling is None else Rolled(self._rolling.done, self._rolling.total)

    def _revived(self, shard: int) -> None:
        if not self.supervisor.runs(shard):
            self._refusals.pop(shard, None)
            if self.board.changed(shard, ShardState.STARTING, "an operator has it restarted", self._wall()):
                self._changed()
        self._news.set()

    async def _roll_on(self) -> None:
        """Take a rolling restart as far as it can go now."""
        rolling = self._rolling
        if rolling is None:
            return
        if self.supervisor.draining or self.supervisor.refused is not None:
            self._end_roll(self.supervisor.refused or "the cluster is stopping")
            return
        if not self._renewed:
            try:
                await self._nurseries.renew()
            except OSError as error:
                self._end_roll(f"the new nursery can't be started: {error}")
                return
            self._renewed = True
        if not self._nurseries.answers:
            return
        look = Look(self._nurseries.old, self.live, self.supervisor.failed, self.supervisor.away)
        why = rolling.step(look, self._clock(), self._replace)
        if why is not None or rolling.finished:
            self._end_roll(why)

    def _replace(self, shard: int) -> None:
        self.supervisor.restart(shard, self._clock())
        self._news.set()

    def _end_roll(self, why: str | None) -> None:
        rolling, self._rolling = self._rolling, None
        assert rolling is not None
        self.rolled = Rolled(rolling.done, rolling.total, why, self._wall())
        if why is None:
            self._nurseries.settle()
            log.info("rolling restart: all %d shards run on the new nursery", rolling.total)
            return
        left = rolling.total - rolling.done
        level = logging.INFO if self.supervisor.draining else logging.ERROR
        log.log(level, "rolling restart stopped after %d of %d shards: %s", rolling.done, rolling.total, why)
        if rolling.proven:
            self._nurseries.settle()
            log.warning("%d shards go on with their old workers; restart --rolling replaces them, too", left)
        elif self._renewed and not self.supervisor.draining and self.supervisor.refused is None:
            log.warning("no shard came back on the new nursery; the old one is used again")
            for shard in self._nurseries.fall_back():
                self.restart(shard)
            if rolling.current is not None and rolling.current in self.supervisor.failed:
                self.restart(rolling.current)

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
        self._uncounted = False
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

    def nursery_ended(self, status: int, nursery: NurseryLink | None = None) -> None:
        """See `nurseries.Owner`."""
        log.warning("the nursery ended with status %d", status)
        self._news.set()
        running = self._nurseries.of(nursery, self.supervisor.children)
        newest = self._nurseries.is_newest(nursery)
        self._nurseries.ended(nursery)
        if newest and self._rolling is not None:
            self._end_roll(f"the new nursery ended with status {status}")
            if not running:
                return  # and nothing else was lost by it
        given_up = set(self.supervisor.failed)
        verdict = self.supervisor.nursery_died(self._clock(), running)
        for shard in running:
            self._dying.pop(shard, None)
            if (link := self._links.pop(shard, None)) is not None:
                link.close()
            self._gone(shard)
        for shard in sorted(running | (self.supervisor.failed.keys() - given_up)):
            self._note_death(shard, "the nursery ended")
        self._say(verdict)
        self._stop_the_hopeless()

    def said(self, shard: int, message: Message) -> None:
        """See `nursery_link.Listener`."""
        self._pulses.heard(shard, self._clock())
        if isinstance(message, CommandDone):
            if self.commands is not None:
                self.commands.heard(message)
            return  # nothing to supervise
        if isinstance(message, Pulse):
            self.board.beat(shard, message)
            self.grapevine.remind()
            return  # most of what comes when all is well, and nothing to do
        now = self._wall()
        match message:
            case StateChanged():
                self._state_changed(shard, message, now)
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
            self._changed()

    # What follows

    def _changed(self) -> None:
        """A state is another one: count soon, and tell."""
        self._uncounted = True
        self._news.set()
        self.on_change()

    def _stop_the_hopeless(self) -> None:
        """When Discord refuses the cluster nobody identifies any more; sessions that live may go on."""
        refused = self.supervisor.refused
        if refused is None:
            return
        for shard, view in self.board.views.items():
            if view.state is ShardState.QUEUED:
                self.supervisor.stop(shard, self._clock())
            elif not (
                self.supervisor.runs(shard)
                or shard in self.supervisor.failed
                or shard in self.supervisor.away
            ):
                self.supervisor.failed[shard] = refused  # it waited for its start, which won't come
                self._note_death(shard, refused)

    def _end_hanging(self, shard: int) -> None:
        """Kill a worker that neither works nor dies; its successor resumes."""
        pid = self.supervisor.pid(shard)
        if pid is not None:
            log.error("shard %d: its worker said nothing for %.0f s; killing it", shard, SILENT_S)
            self._nurseries.signal(shard, pid, signal.SIGKILL)

    def _gone(self, shard: int) -> None:
        self._nurseries.gone(shard)
        self._pulses.gone(shard)
        self.grapevine.seen(shard, ShardState.STARTING)
        self.permits.worker_ended(shard)
        self.board.gone(shard)
        if self.commands is not None:
            self.commands.worker_ended(shard)

    def _note_death(self, shard: int, why: str) -> None:
        now = self._wall()
        self.board.views[shard].deaths = self.supervisor.died(shard)
        if shard in self.supervisor.failed:
            reason = self._refusals.get(shard) or self.supervisor.failed[shard]
            if self.board.changed(shard, ShardState.FAILED, reason, now):
                self._herald.failed(shard, reason)
        elif self.supervisor.draining:
            self.board.changed(shard, ShardState.STOPPED, why, now)
        elif shard in self.supervisor.away:
            self.board.changed(shard, ShardState.ELSEWHERE, why, now)
        else:
            self.board.views[shard].restarts += 1
            self.board.changed(shard, ShardState.STARTING, why, now)
        self._changed()

    def _say(self, verdict: Verdict) -> None:
        log.log(_LEVELS[verdict.severity], verdict.text)

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Start():
                await self._start(effect.shard)
            case Kill():
                pid = self.supervisor.pid(effect.shard)
                if pid is not None:
                    self._nurseries.signal(effect.shard, pid, effect.signal)

    async def _start(self, shard: int) -> None:
        if not self.supervisor.runs(shard):
            return  # the nursery could not be started a moment ago; its supervisor says when to try again
        try:
            link = await self._nurseries.fork(shard)
        except OSError as error:
            log.error("the nursery can't be started: %s", error)
            self.nursery_ended(Exit.FAILED)
            return
        link.tell(self._job(shard))
        link.tell(self.grapevine.known)
        self._links[shard] = link

    async def _until_due(self) -> None:
        permits_due = self.permits.due if self.supervisor.refused is None else None
        count_due = self._counted_at + RECOUNT_S if self._uncounted else None
        dues = (self.supervisor.due, permits_due, self._pulses.due, self._roll_due, count_due)
        moments = [moment for moment in dues if moment is not None]
        wait_s = max(0.0, min(moments) - self._clock()) if moments else None
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            pass

    @property
    def _roll_due(self) -> float | None:
        if self._rolling is None:
            return None
        return self._rolling.due if self._nurseries.answers else self._clock() + LOOK_S

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
