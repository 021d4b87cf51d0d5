"""Which shards this host runs among several (does): what the leases tell goes to the crew, and back.

Level-triggered: each `step` compares what the leases say with what runs, so a word that was missed costs
one pass.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Protocol, assert_never

from gwcluster.hosts.told import Claimed, GiveUp, Lost, Renewed, Told
from gwcluster.supervise.supervisor import Supervisor
from gwcluster.wire.control import Leased, Message

log = logging.getLogger(__name__)


class Leases(Protocol):
    """What is asked of `gwcluster.hosts.leases.Leases`; its moments are those of the same clock."""

    def stop_at(self, shard: int) -> float | None: ...
    def may_start(self, shard: int) -> bool: ...
    def released(self, shard: int) -> None: ...
    def live(self, shards: Collection[int]) -> None: ...


class Crew(Protocol):
    """What is asked of `gwcluster.supervise.crew.Crew`."""

    @property
    def supervisor(self) -> Supervisor: ...
    @property
    def live(self) -> Collection[int]: ...
    def take(self, shard: int) -> None: ...
    def give_up(self, shard: int, why: str, *, at_once: bool = False) -> None: ...
    def tell(self, shard: int, message: Message) -> None: ...
    def wake(self) -> None: ...


class Tenure:
    """Has shards taken whose leases are ours, and given up whose aren't.

    Args:
        leases: those of this host.
        crew: runs its shards.
    """

    def __init__(self, leases: Leases, crew: Crew) -> None:
        self._leases = leases
        self._crew = crew
        self._held: dict[int, int] = {}
        self._giving: set[int] = set()
        self._live: frozenset[int] = frozenset()

    def heard(self, told: Told) -> None:
        """Take what the leases tell. Whoever runs the crew then lets `step` run."""
        match told:
            case Claimed(shard):
                log.info("shard %d is this host's to run, by lease %d", shard, told.token)
                self._held[shard] = told.token
            case Renewed(shard):
                if (stop_at := self._leases.stop_at(shard)) is not None:
                    self._crew.tell(shard, Leased(stop_at))
            case GiveUp(shard):
                log.info("shard %d is given up, for another host to run it", shard)
                self._giving.add(shard)
                self._crew.give_up(shard, "another host is to run it")
            case Lost(shard):
                log.error("shard %d is no longer this host's: %s", shard, told.reason)
                self._held.pop(shard, None)
                self._giving.discard(shard)
                self._crew.give_up(shard, told.reason, at_once=True)
            case _:
                assert_never(told)
        self._crew.wake()

    def token(self, shard: int) -> int:
        """Return what the fence in a shard's log is to carry; 0: the shard isn't ours."""
        return self._held.get(shard, 0)

    def step(self) -> None:
        """Bring what runs in line with the leases; before each step of the supervisor."""
        supervisor = self._crew.supervisor
        leaving = self._held.keys() if supervisor.draining else self._giving
        for shard in [shard for shard in leaving if not supervisor.runs(shard)]:
            self._giving.discard(shard)
            self._held.pop(shard, None)
            self._leases.released(shard)
        for shard in self._held.keys() - self._giving:
            if self._leases.may_start(shard):
                if shard in supervisor.away:
                    self._crew.take(shard)
            elif shard not in supervisor.away and not supervisor.runs(shard):
                self._crew.give_up(shard, "its lease isn't renewed")
        live = frozenset(self._crew.live)
        if live != self._live:
            self._live = live
            self._leases.live(live)
