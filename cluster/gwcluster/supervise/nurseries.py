"""The nurseries of one crew (does): the one that forks, and those whose workers are still to be replaced.

There is one, except during a rolling restart and after one that stopped: workers can't change their nursery,
so an old one stays until its last worker is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Protocol

from gwcluster.supervise.nursery_link import Listener, NurseryLink, WorkerLink
from gwcluster.wire.control import Message


class Owner(Protocol):
    """Whoever supervises, and has to tell one nursery from the other."""

    def forked(self, shard: int, pid: int) -> None:
        """See `nursery_link.Listener`."""

    def exited(self, shard: int, pid: int, status: int) -> None:
        """See `nursery_link.Listener`."""

    def nursery_ended(self, status: int, nursery: NurseryLink | None = None) -> None:
        """A nursery ended, and with it every worker that it had; None: the one that forks."""

    def said(self, shard: int, message: Message) -> None:
        """See `nursery_link.Listener`."""


class _Ear:
    """Listens to one nursery."""

    def __init__(self, owner: Owner) -> None:
        self.nursery: NurseryLink | None = None
        self.forked, self.exited, self.said = owner.forked, owner.exited, owner.said
        self._owner = owner

    def nursery_ended(self, status: int) -> None:
        self._owner.nursery_ended(status, self.nursery)


class Nurseries:
    """Who forks, and who was forked by whom.

    Args:
        owner: told what happens.
        make: makes the line to a new nursery, which is started here.
    """

    def __init__(self, owner: Owner, make: Callable[[Listener], NurseryLink]) -> None:
        self._owner = owner
        self._make = make
        self._current: NurseryLink | None = None
        self._before: NurseryLink | None = None
        self._homes: dict[int, NurseryLink] = {}
        self._retired: list[NurseryLink] = []
        self._ending: set[asyncio.Task[None]] = set()

    async def fork(self, shard: int) -> WorkerLink:
        """Have the newest nursery fork a worker, and start one first if there is none.

        Raises:
            OSError: it can't be started.
        """
        if self._current is None:
            self._current = await self._started()
        self._homes[shard] = self._current
        return self._current.fork(shard)

    async def renew(self) -> None:
        """Start another nursery, with the code that is installed now; what starts from now on starts there.

        Raises:
            OSError: it can't be started; all stays as it was.
        """
        new = await self._started()
        new.signal(0, 0)  # nobody's child: it answers as soon as it can, and does nothing
        if self._current is not None:
            self._retired.append(self._current)
        self._before, self._current = self._current, new
        self._end_the_empty()

    def fall_back(self) -> set[int]:
        """Let the nursery of before `renew` fork again; return whose workers are of the newer one."""
        new, old = self._current, self._before
        if old is None or old not in self._retired:
            return set()  # it ended meanwhile
        self._retired.remove(old)
        self._before, self._current = None, old
        if new is not None:
            self._retired.append(new)
        found = {shard for shard, home in self._homes.items() if home is new}
        self._end_the_empty()
        return found

    def settle(self) -> None:
        """There is no way back to the nursery of before any more, and none is needed."""
        self._before = None
        self._end_the_empty()

    @property
    def answers(self) -> bool:
        """Whether the newest nursery has done anything yet, so that its code can be loaded."""
        return self._current is not None and self._current.answered

    @property
    def old(self) -> Collection[int]:
        """Shards whose workers are of an older nursery than the newest."""
        return {shard for shard, home in self._homes.items() if home is not self._current}

    def is_newest(self, nursery: NurseryLink | None) -> bool:
        """Say whether this is the one that forks; None is."""
        return nursery is None or nursery is self._current

    def of(self, nursery: NurseryLink | None, running: Collection[int]) -> set[int]:
        """Return whose workers end with a nursery; who runs and was not forked yet waits for the newest."""
        newest = self.is_newest(nursery)
        nursery = self._current if nursery is None else nursery
        return {
            shard
            for shard in running
            if self._homes.get(shard) is nursery or (newest and shard not in self._homes)
        }

    def ended(self, nursery: NurseryLink | None) -> None:
        """A nursery ended."""
        if self.is_newest(nursery):
            self._current = None
        elif nursery in self._retired:
            self._retired.remove(nursery)

    def signal(self, shard: int, pid: int, signum: int) -> None:
        """Signal a shard's worker."""
        if (home := self._homes.get(shard)) is not None:
            home.signal(pid, signum)

    def gone(self, shard: int) -> None:
        """The shard's worker ended."""
        self._homes.pop(shard, None)
        self._end_the_empty()

    async def close(self) -> None:
        """End them all."""
        left = [*self._retired, *([] if self._current is None else [self._current])]
        self._retired.clear()
        self._current = self._before = None
        await asyncio.gather(*self._ending, *(nursery.stop() for nursery in left))

    async def _started(self) -> NurseryLink:
        ear = _Ear(self._owner)
        nursery = ear.nursery = self._make(ear)
        await nursery.start()
        return nursery

    def _end_the_empty(self) -> None:
        """End each old nursery that has no worker any more, except one that may be needed again."""
        if not self._retired:
            return
        homes = set(self._homes.values())
        for nursery in [one for one in self._retired if one not in homes and one is not self._before]:
            self._retired.remove(nursery)
            task = asyncio.get_running_loop().create_task(nursery.stop())
            self._ending.add(task)
            task.add_done_callback(self._has_ended)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            task.result()
