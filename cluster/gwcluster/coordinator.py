"""The coordinator (does): where clocks, dice, sockets and processes meet the deciders.

No event passes through here: the fan-in forwards them in C.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp

from gwcluster.assembly import assemble
from gwcluster.board import Board
from gwcluster.config import Config
from gwcluster.fanin import Fanin
from gwcluster.identify.any_ledger import AnyLedger
from gwcluster.identify.bootstrap import ask_until_answered, rest_session
from gwcluster.identify.gate import UNKNOWN, Gate
from gwcluster.identify.gateway_info import GatewayInfo, Refused
from gwcluster.identify.known import Known
from gwcluster.identify.ledger import Ledger, LedgerError
from gwcluster.identify.limits import Limits
from gwcluster.identify.standing import Sessions, beginning, forget_all, look, resuming
from gwcluster.identify.start import Start, StartError
from gwcluster.job import job_of
from gwcluster.log.reader import Reader
from gwcluster.log.session_state import touch
from gwcluster.means import Means
from gwcluster.memory import pause_s
from gwcluster.open_files import check_open_files
from gwcluster.operations import Operations
from gwcluster.reload import read_again
from gwcluster.requests.control_loop import ControlLoop
from gwcluster.requests.status import News, Run, document, left
from gwcluster.sight import Sight, sight
from gwcluster.state_folder import StateFolder
from gwcluster.supervise.crew import Crew
from gwcluster.wire.control import Job
from gwcluster.wire.exits import Exit
from gwcluster.wire.notices import BEACON_INTERVAL_S

if TYPE_CHECKING:
    from gwcluster.hosts.hosting import Hosting

LOOK_FOR_KEYS_S: Final = 2.0
"""Between two looks at the folder of clients' keys."""

TOUCH_S: Final = 30.0
"""Between two notes that a shard's session is alive."""

_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)


class Cluster:
    """A whole cluster, from the first question to Discord to the exit status.

    Args:
        config: what to run.
        means: what to run it with.
        fresh: give up every session first.
        use_reserve: let this start have what it needs of the identify reserve.
        load: reads the configuration again, for `reload`; None: it can't be.

    Attributes:
        crew: its shards, None until their number is known.
        operations: how it is and what may be done to it, for whoever asks.
        started_at: monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        means: Means,
        *,
        fresh: bool = False,
        use_reserve: bool = False,
        load: Callable[[], Config] | None = None,
    ) -> None:
        self.config = config
        self._fresh = fresh
        self._use_reserve = use_reserve
        self.crew: Crew | None = None
        self.started_at = means.monotonic()
        self._token = config.token.get_secret_value()
        self._means = means
        self._stop = asyncio.Event()
        self._keys_due = asyncio.Event()
        self._url = ""
        self._shards: int | None = None
        self.operations = Operations(self.status)
        if config.hosts is not None:
            self.operations.emptied = self._hand_on
        self._load = load
        self._reloading: asyncio.Task[None] | None = None
        self._reloaded_at: float | None = None
        self._refused: str | None = None
        self._limits: Limits | None = None
        self._hosting_now: Hosting | None = None
        self._about = Run(config.name, version("gwcluster"), os.getpid(), means.wall())

    def stop(self) -> None:
        """Drain and end; asked a second time, end at once."""
        if self._stop.is_set():
            log.warning("stopping at once; the sessions stay resumable")
            if self.crew is not None:
                self.crew.abandon()
            return
        self._stop.set()
        if self._hosting_now is not None:
            self._hosting_now.leave()
        if self.crew is None:
            log.info("stopping before any shard was started")
        else:
            log.info("stopping: every connection is closed so that its session can be resumed")
            self.crew.drain()

    def _hand_on(self) -> str | None:
        if self._hosting_now is None:
            return "this host hasn't joined the others yet"
        self._hosting_now.drain()
        return None

    def reload(self) -> None:
        """Read the configuration again and take what a running cluster can; what became of it is logged."""
        if self._load is None or (self._reloading is not None and not self._reloading.done()):
            log.warning("the configuration isn't read again: it is just being read, or it is in no file")
            return
        self._reloading = asyncio.get_running_loop().create_task(self._reload(self._load))

    async def _reload(self, load: Callable[[], Config]) -> None:
        self._means.systemd.reloading()
        try:
            config = await read_again(self.config, load)
            if config is not None:
                self._take(config)
            self.look_for_keys()
        finally:
            self._means.systemd.ready()

    def _take(self, config: Config) -> None:
        presence_changed = config.presence != self.config.presence
        self.config = config
        self._reloaded_at = self._means.wall()
        if self._limits is not None:
            self._limits.keep(config.identify.reserve)
        if self.crew is not None:
            bounds = config.supervision
            self.crew.supervisor.bound(restarts=bounds.restarts, within_s=bounds.within_s)
            self.crew.retain(config.log.retention)
            if presence_changed:
                self.crew.present(config.presence)

    async def run(self, state: StateFolder) -> Exit:
        """Run until stopped or refused.

        Args:
            state: the configured folder.

        Raises:
            GwclusterError: it can't start; the message names the thing and the remedy.
        """
        with contextlib.closing(Ledger(state.ledger, clock=self._means.wall)) as ledger:
            async with self._hosting(state, ledger) as hosting:
                return await self._open(state, ledger if hosting is None else hosting.ledger, hosting)

    async def _open(self, state: StateFolder, ledger: AnyLedger, hosting: Hosting | None) -> Exit:
        fanin = self._means.fanin(state)
        log.info("events are published at %s", ", ".join(self.config.events.bind))
        try:
            control = ControlLoop(asyncio.get_running_loop(), self.operations)
            desk = self._means.desk(
                control, (lambda shard: Reader(state.shard(shard))) if hosting is None else hosting.reader
            )
            try:
                log.info("requests are answered at %s", ", ".join(self.config.requests.bind))
                async with (
                    self._http(),
                    self._means.attended(self.sight),
                    rest_session() as rest,
                    self._watched_keys(fanin),
                ):
                    return await self._run(state, ledger, fanin, control, rest, hosting)
            finally:
                await desk.close()
        finally:
            await fanin.close()

    def status(self) -> dict[str, Any]:
        """Return the document on how the cluster is."""
        now = self._means.wall()
        return document(
            self._about,
            None if self.crew is None else self.crew.board,
            now=now,
            shards=self._shards,
            identifies=None
            if self.crew is None
            else left(self.crew.permits.gate.budget, self._means.monotonic(), now),
            hosts=None if self._hosting_now is None else self._hosting_now.status,
            news=News(
                self._reloaded_at,
                None if self.crew is None else self.crew.rolling,
                None if self.crew is None else self.crew.rolled,
            ),
        )

    def sight(self) -> Sight:
        """Return how the cluster is, for those who tell somebody outside of it."""
        stopping = self._stop.is_set()
        hosts = None if self._hosting_now is None else self._hosting_now.status
        if (crew := self.crew) is None:
            return sight(None, None, refused=self._refused, stopping=stopping, hosts=hosts)
        refused = self._refused or crew.supervisor.refused
        return sight(crew.board, crew.permits.gate, refused=refused, stopping=stopping, hosts=hosts)

    def _hosting(
        self, state: StateFolder, ledger: Ledger
    ) -> contextlib.AbstractAsyncContextManager[Hosting | None]:
        """Be one of several hosts as long as the block runs, if there are several."""
        join = self._means.hosting
        return contextlib.nullcontext() if join is None else join(state, ledger)

    @contextlib.asynccontextmanager
    async def _http(self) -> AsyncIterator[None]:
        """Serve HTTP, if it is wanted, as long as the block runs."""
        web = self._means.web(self.operations)
        if web is None:
            yield
            return
        await web.start()
        try:
            yield
        finally:
            await web.close()

    async def _run(
        self,
        state: StateFolder,
        ledger: AnyLedger,
        fanin: Fanin,
        control: ControlLoop,
        rest: aiohttp.ClientSession,
        hosting: Hosting | None,
    ) -> Exit:
        config = self.config
        if hosting is not None:
            config = _with_shards(config, await hosting.shards())
        known = ledger.known
        sessions = await self._sessions(config, state, known, hosting)
        start = resuming(config, sessions, known)
        info: GatewayInfo | None = None
        if start is not None and known is not None:
            could = len(start.resumable), len(start.ids)
            log.info("%d of %d shards resume without waiting for Discord", *could)
            self._url = known.url
        else:
            answer = await self._unless_stopped(self._ask(rest, ledger))
            if not isinstance(answer, GatewayInfo):
                self._refused = None if answer is None else answer.reason
                return Exit.DONE if answer is None else Exit.REFUSED
            info = answer
            start = beginning(config, sessions, known, info)
        if hosting is not None:
            await hosting.agree(start.shards)
        check_open_files(len(start.ids), self._means.open_files)
        limits = self._limits = self._make_limits(ledger, start)
        if info is not None:
            limits.admit(info, fresh=self._fresh)
            if self._fresh and (given_up := forget_all(state.shards)):
                log.warning("--fresh: %d saved sessions are given up", given_up)
        self._shards = start.shards
        crew = self.crew = assemble(
            config,
            self._means,
            state=state,
            ledger=ledger,
            fanin=fanin,
            start=start,
            limits=limits,
            job=lambda shard: self._job(state, shard, start.shards, hosting),
            hosting=hosting,
        )
        crew.on_change = self.operations.changed
        control.commands, control.ids = crew.commands, crew.board.views.keys()
        self.operations.hands = crew
        limits.stranded = lambda: crew.grapevine.stranded
        if info is not None:
            self._answered(crew, limits, info)
        if hosting is not None:
            await self._join(hosting, crew, start)
        if self._stop.is_set():
            crew.drain()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(fanin.listen(crew.farewells.published)),
                tasks.create_task(self._keep_house(crew, state)),
                tasks.create_task(self._keep_asking(crew, limits, rest, ledger)),
                tasks.create_task(self._keep_weighing(crew.board)),
            ]
            if hosting is not None:
                background.append(tasks.create_task(hosting.run()))
            try:
                return await crew.run()
            finally:
                for task in background:
                    task.cancel()

    async def _sessions(
        self, config: Config, state: StateFolder, known: Known | None, hosting: Hosting | None
    ) -> Sessions:
        if hosting is None:
            return {} if self._fresh else look(state.shards, token=self._token, now=self._means.wall())
        if self._fresh:
            raise StartError(
                "--fresh gives up sessions that other hosts may be running; with `hosts`, stop all of them, "
                "and start the first one with another `name`"
            )
        count = config.shards.count or (0 if known is None else known.shards)
        return await hosting.sessions(self._token, range(count))

    async def _join(self, hosting: Hosting, crew: Crew, start: Start) -> None:
        """Have the crew run the shards that are this host's, and none before it is told so."""
        commands, gate = crew.commands, crew.permits.gate
        assert commands is not None, "assembled with it"
        hosting.limit = lambda: gate.budget.total - gate.budget.reserve
        hosting.others_spent = gate.others_spent
        hosting.wake = crew.wake
        commands.pass_on = hosting.pass_on
        crew.before_pass = hosting.step
        crew.holder = hosting.holder
        await hosting.employ(
            crew,
            start.ids,
            lambda ask, answer: commands.send(
                ask.payload, answer=answer, shard=ask.shard, ttl_s=ask.ttl_s, passed_on=True
            ),
        )
        self._hosting_now = hosting

    def _make_limits(self, ledger: AnyLedger, start: Start) -> Limits:
        return Limits(
            Gate(max_concurrency=1, budget=UNKNOWN, jitter=self._means.jitter),
            ledger,
            start,
            api=self.config.gateway.api,
            reserve=self.config.identify.reserve,
            use_reserve=self._use_reserve,
            clock=self._means.monotonic,
            wall=self._means.wall,
        )

    def _job(self, state: StateFolder, shard: int, count: int, hosting: Hosting | None) -> Job:
        job = job_of(self.config, state, shard, count, self._url)
        return job if hosting is None else dataclasses.replace(job, **hosting.job(shard))

    async def _ask(self, rest: aiohttp.ClientSession, ledger: AnyLedger) -> GatewayInfo | Refused:
        return await ask_until_answered(
            rest,
            self.config.gateway.api,
            self._token,
            ledger=ledger,
            version=version("gwcluster"),
            clock=self._means.wall,
            jitter=self._means.jitter,
        )

    def _answered(self, crew: Crew, limits: Limits, info: GatewayInfo) -> None:
        limits.take(info)
        if self._url not in {"", info.url}:
            crew.grapevine.moved(info.url)
        self._url = info.url
        crew.release()

    async def _keep_asking(
        self, crew: Crew, limits: Limits, rest: aiohttp.ClientSession, ledger: AnyLedger
    ) -> None:
        """Ask Discord if it hasn't answered yet, and again when the identify budget is used up."""
        while crew.supervisor.refused is None:  # a bot that Discord refuses asks nothing more
            try:
                if limits.due:
                    match await self._ask(rest, ledger):
                        case GatewayInfo() as info:
                            self._answered(crew, limits, info)
                        case Refused() as refused:
                            crew.refuse(refused.reason)
            except LedgerError as error:  # asked again later; the shards that are live go on
                log.error("the identify budget is not renewed: %s", error)
            await asyncio.sleep(BEACON_INTERVAL_S)

    async def _keep_house(self, crew: Crew, state: StateFolder) -> None:
        """Say how the cluster is, and note which sessions are alive."""
        touch_at = self._means.monotonic()
        while True:
            await asyncio.sleep(BEACON_INTERVAL_S)
            crew.publish_counts()
            if self._means.monotonic() >= touch_at:
                touch_at = self._means.monotonic() + TOUCH_S
                live = [state.shard(shard) for shard in crew.live]
                self._means.aside(partial(_touch, live, self._means.wall()))

    async def _keep_weighing(self, board: Board) -> None:
        while True:
            found = await self._means.weigh(
                [view.pid for view in board.views.values() if view.pid is not None]
            )
            for view in board.views.values():
                if view.pid is not None:
                    view.memory_bytes = found.get(view.pid, view.memory_bytes)
            await asyncio.sleep(pause_s(len(found)) if found else BEACON_INTERVAL_S)

    def look_for_keys(self) -> None:
        """Take what has changed in the folder of clients' keys at once, and not only in a moment."""
        self._keys_due.set()

    @contextlib.asynccontextmanager
    async def _watched_keys(self, fanin: Fanin) -> AsyncIterator[None]:
        """Take new and removed clients' keys as long as the block runs, if there are any."""
        watching = asyncio.create_task(self._watch_keys(fanin))
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _watch_keys(self, fanin: Fanin) -> None:
        while (locks := self._means.locks) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_FOR_KEYS_S):
                    await self._keys_due.wait()
            self._keys_due.clear()
            try:
                if await asyncio.to_thread(locks.clients.look):
                    log.warning("a key may no longer read: every subscriber is made to connect again")
                    fanin.hang_up()
            except Exception:
                log.exception("bug: clients' keys were not looked at")

    async def _unless_stopped(self, asking: Coroutine[Any, Any, _Answer]) -> _Answer | None:
        """Return the answer, or None when we are asked to stop first."""
        answer = asyncio.ensure_future(asking)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({answer, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
            stopped.cancel()


def _with_shards(config: Config, agreed: int | None) -> Config:
    """Return the configuration with the shard count of other hosts, if it leaves that open."""
    if agreed is None or config.shards.count is not None:
        return config
    return dataclasses.replace(config, shards=config.shards.model_copy(update={"count": agreed}))


def _touch(folders: Sequence[Path], wall: float) -> None:
    for folder in folders:
        touch(folder, wall)
