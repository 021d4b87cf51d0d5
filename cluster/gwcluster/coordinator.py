"""The coordinator (does): the composition root, where clock, dice, sockets and processes meet the deciders.

No event passes through here: the fan-in forwards them in C.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Coroutine, Mapping
from importlib.metadata import version
from typing import Any, Final, TypeVar

import aiohttp

from gwcluster.board import Board
from gwcluster.config import Config
from gwcluster.discord import is_loopback_url
from gwcluster.errors import GwclusterError
from gwcluster.fanin import Fanin
from gwcluster.herald import Herald
from gwcluster.identify.bootstrap import ask_until_answered, rest_session
from gwcluster.identify.gate import Budget, Gate
from gwcluster.identify.gateway_info import GatewayInfo, Refused
from gwcluster.identify.ledger import Ledger, LedgerError
from gwcluster.identify.permits import Permits
from gwcluster.state_folder import StateFolder
from gwcluster.supervise.commands import Commands
from gwcluster.supervise.crew import Crew
from gwcluster.supervise.nursery_link import NurseryLink
from gwcluster.supervise.supervisor import Supervisor
from gwcluster.wire.control import Job
from gwcluster.wire.exits import Exit
from gwcluster.wire.notices import BEACON_INTERVAL_S

DAY_S: Final = 86_400.0
ROLL_CALL_S: Final = 5.0
"""How long shards of higher buckets wait for those of lower ones to be started and connected."""

_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)


class ShardsError(GwclusterError):
    """`shards.ids` names shards that the count Discord recommends doesn't have."""


class Cluster:
    """A whole cluster, from the first question to Discord to the exit status.

    Args:
        config: what to run.
        environ: passed on to nursery and workers, less whatever holds the token.

    Attributes:
        crew: its shards, None until their number is known.
        started_at: monotonic seconds.
    """

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        self.config = config
        self.crew: Crew | None = None
        self.started_at = time.monotonic()
        self._token = config.token.get_secret_value()
        self._environ = {key: value for key, value in environ.items() if self._token not in value}
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Drain and end; asked a second time, end at once."""
        if self._stop.is_set():
            log.warning("stopping at once; the sessions stay resumable")
            if self.crew is not None:
                self.crew.abandon()
            return
        self._stop.set()
        if self.crew is None:
            log.info("stopping before any shard was started")
        else:
            log.info("stopping: every connection is closed so that its session can be resumed")
            self.crew.drain()

    async def run(self) -> Exit:
        """Run until stopped or refused.

        Raises:
            GwclusterError: it can't start; the message names the thing and the remedy.
        """
        with contextlib.ExitStack() as stack:
            state = stack.enter_context(contextlib.closing(StateFolder(self.config.state)))
            ledger = stack.enter_context(contextlib.closing(Ledger(state.ledger, clock=time.time)))
            fanin = Fanin(state.fanin, self.config.events.bind, self.config.events.high_water_mark)
            log.info("events are published at %s", ", ".join(self.config.events.bind))
            try:
                async with rest_session() as rest:
                    return await self._run(state, ledger, fanin, rest)
            finally:
                await fanin.close()

    async def _run(
        self, state: StateFolder, ledger: Ledger, fanin: Fanin, rest: aiohttp.ClientSession
    ) -> Exit:
        info = await self._unless_stopped(self._ask(rest, ledger))
        if info is None:
            return Exit.DONE
        if isinstance(info, Refused):
            return Exit.REFUSED
        crew = self.crew = self._assemble(state, ledger, fanin, info)
        if self._stop.is_set():
            crew.drain()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(fanin.listen(crew.shard_state_published)),
                tasks.create_task(self._keep_house(crew, rest, ledger)),
            ]
            try:
                return await crew.run()
            finally:
                for task in background:
                    task.cancel()

    def _assemble(self, state: StateFolder, ledger: Ledger, fanin: Fanin, info: GatewayInfo) -> Crew:
        config = self.config
        count = config.shards.count or info.shards
        ids = sorted(config.shards.ids if config.shards.ids is not None else range(count))
        if ids[-1] >= count:
            raise ShardsError(
                f"shards.ids names shard {ids[-1]}, but Discord recommends {count} shards; "
                f"write ids from 0 to {count - 1}, or set shards.count"
            )
        log.info("running %d of %d shards", len(ids), count)
        board = Board(ids, time.time())
        gate = Gate(
            max_concurrency=info.max_concurrency,
            budget=self._budget(info, len(ids), ledger),
            jitter=random.random,
        )
        monotonic_minus_wall = time.monotonic() - time.time()
        last_sent = ledger.last_sent_by_key(info.max_concurrency)
        gate.restore({key: wall + monotonic_minus_wall for key, wall in last_sent.items()})
        gate.expect(ids, time.monotonic() + ROLL_CALL_S)
        supervisor = Supervisor(
            ids,
            restarts=config.supervision.restarts,
            within_s=config.supervision.within_s,
            now=time.monotonic(),
            jitter=random.random,
        )
        crew = Crew(
            board=board,
            supervisor=supervisor,
            herald=Herald(fanin, state, count, ids[0], config.log.retention),
            job=lambda shard: self._job(shard, count, info.url, state),
            nursery=lambda listener: NurseryLink(listener, self._environ),
            clock=time.monotonic,
            wall=time.time,
        )
        crew.permits = Permits(
            gate, ledger, shards=count, tell=crew.tell, clock=time.monotonic, wall=time.time
        )
        crew.commands = Commands(shards=count, ids=ids, tell=crew.tell, has_worker=crew.has_worker)
        return crew

    def _budget(self, info: GatewayInfo, shards: int, ledger: Ledger) -> Budget:
        return Budget.of(
            info.total,
            info.remaining,
            time.monotonic() + info.reset_after_s,
            fraction=self.config.identify.reserve,
            shards=shards,
            spent=ledger.spent_since(time.time() - DAY_S),
        )

    def _job(self, shard: int, shards: int, url: str, state: StateFolder) -> Job:
        config = self.config
        include = config.events.include
        return Job(
            shard=shard,
            shards=shards,
            token=self._token,
            gateway_url=url,
            plain_ok=is_loopback_url(config.gateway.api),
            intents=config.intents,
            compression=config.gateway.compression,
            large_threshold=config.gateway.large_threshold,
            presence=config.presence,
            identify=config.gateway.identify,
            include=None if include is None else sorted(include),
            exclude=sorted(config.events.exclude),
            folder=str(state.shard(shard)),
            fanin=state.fanin,
            retention_bytes=config.log.retention.bytes,
            retention_age_s=config.log.retention.age_s,
        )

    async def _ask(self, rest: aiohttp.ClientSession, ledger: Ledger) -> GatewayInfo | Refused:
        return await ask_until_answered(
            rest,
            self.config.gateway.api,
            self._token,
            ledger=ledger,
            version=version("gwcluster"),
            clock=time.time,
            jitter=random.random,
        )

    async def _keep_house(self, crew: Crew, rest: aiohttp.ClientSession, ledger: Ledger) -> None:
        """Say how the cluster is, and ask Discord again when the identify budget is used up."""
        while True:
            await asyncio.sleep(BEACON_INTERVAL_S)
            crew.publish_counts()
            ask_at = crew.permits.gate.ask_again_at
            if crew.supervisor.refused is not None:
                continue  # a bot that Discord refuses asks nothing more
            if ask_at is not None and time.monotonic() >= ask_at:
                try:
                    await self._refill(crew, rest, ledger)
                except LedgerError as error:  # asked again later; the shards that are live go on
                    log.error("the identify budget is not renewed: %s", error)

    async def _refill(self, crew: Crew, rest: aiohttp.ClientSession, ledger: Ledger) -> None:
        match await self._ask(rest, ledger):
            case GatewayInfo() as info:
                budget = self._budget(info, len(crew.board.views), ledger)
                crew.permits.gate.refill(budget, time.monotonic())
            case Refused() as refused:
                crew.refuse(refused.reason)

    async def _unless_stopped(self, asking: Coroutine[Any, Any, _Answer]) -> _Answer | None:
        """Return the answer, or None when we are asked to stop first."""
        answer = asyncio.ensure_future(asking)
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({answer, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if answer.done():
            return answer.result()
        answer.cancel()
        return None
