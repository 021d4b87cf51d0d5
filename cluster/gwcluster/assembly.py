"""Puts the crew of a cluster together (does): which parts it has, and who hears whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gwcluster.board import Board
from gwcluster.config import Config
from gwcluster.fanin import Fanin
from gwcluster.herald import Herald
from gwcluster.identify.any_ledger import AnyLedger
from gwcluster.identify.limits import Limits
from gwcluster.identify.permits import Permits
from gwcluster.identify.start import Start, advice
from gwcluster.means import Means
from gwcluster.state_folder import StateFolder
from gwcluster.supervise.commands import Commands
from gwcluster.supervise.crew import Crew
from gwcluster.supervise.supervisor import Supervisor
from gwcluster.wire.control import Job

if TYPE_CHECKING:
    from gwcluster.hosts.hosting import Hosting


def assemble(
    config: Config,
    means: Means,
    *,
    state: StateFolder,
    ledger: AnyLedger,
    fanin: Fanin,
    start: Start,
    limits: Limits,
    job: Callable[[int], Job],
    hosting: Hosting | None,
) -> Crew:
    """Return a crew for a start; nothing of it runs yet.

    Args:
        config: its bounds.
        means: what it is made with.
        state: where the logs of shards are, with one host.
        ledger: each permit is in it before it leaves.
        fanin: the way to subscribers.
        start: which shards there are.
        limits: has the gate.
        job: what a shard's worker is to do.
        hosting: this host among several: all shards are away at first; None: there is one host.
    """
    count, ids = start.shards, start.ids
    away = () if hosting is None else ids
    crew = Crew(
        board=Board(ids, means.wall(), clock=means.monotonic, away=away),
        supervisor=Supervisor(
            ids,
            restarts=config.supervision.restarts,
            within_s=config.supervision.within_s,
            now=means.monotonic(),
            jitter=means.jitter,
            later=start.identifying,
            away=away,
        ),
        herald=Herald(
            fanin,
            state,
            count,
            ids[0],
            config.log.retention,
            borrow=None if hosting is None else lambda shard, use: hosting.borrow(shard, count, use),
        ),
        job=job,
        nursery=means.nursery,
        clock=means.monotonic,
        wall=means.wall,
    )
    crew.permits = Permits(
        limits.gate,
        ledger,
        shards=count,
        tell=crew.tell,
        clock=means.monotonic,
        wall=means.wall,
        keys=None if hosting is None else hosting.keys,
    )
    crew.advise = lambda refused: advice(refused.code, count, limits.recommended)
    crew.commands = Commands(
        shards=count,
        ids=ids,
        tell=crew.tell,
        has_worker=crew.has_worker,
        later=asyncio.get_running_loop().call_later,
    )
    return crew
