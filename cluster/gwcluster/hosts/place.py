"""Keeps this host's entry among the hosts (does)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gwcluster.errors import quoted
from gwcluster.hosts.book import RENEW, RETRY
from gwcluster.hosts.entries import HostEntry, encode, host_in
from gwcluster.hosts.errors import HostsError, KvError, TakenError
from gwcluster.hosts.kv import Bucket

LOOK_S: Final = 0.25

log = logging.getLogger(__name__)


class Place:
    """This host's entry: written anew each third of a lease, and at once when something in it changes.

    Args:
        bucket: of the hosts.
        entry: of this host; `up_s` is set with each write.
        earlier: incarnations whose entry may be written over.
        lease_s: the bucket's TTL.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        bucket: Bucket,
        entry: HostEntry,
        *,
        earlier: frozenset[str],
        lease_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.entry = entry
        self._bucket = bucket
        self._earlier = earlier | {entry.incarnation}
        self._lease_s = lease_s
        self._clock = clock
        self._came_at = clock()
        self._revision = 0
        self._written: HostEntry | None = None
        self._due_at = float("-inf")
        self._wanted = asyncio.Event()

    def change(self, *, live: tuple[int, ...], shards: tuple[int, ...], draining: bool) -> None:
        """Say something else from now on."""
        self.entry = replace(self.entry, live=live, shards=shards, draining=draining)
        if self.entry != self._written:
            self._wanted.set()

    async def join(self) -> None:
        """Write the entry for the first time; an entry of this name that nobody renews is waited for.

        Raises:
            HostsError: a host of this name runs.
            UnansweredError: JetStream doesn't answer.
        """
        last: int | None = None
        until = self._clock() + 2 * self._lease_s
        while True:
            try:
                self._revision = await self._bucket.create(self.entry.name, self._said())
            except TakenError:
                there = await self._bucket.get(self.entry.name)
                if there is not None and there.value is not None:
                    if self._is_ours(there.value):
                        self._revision = there.revision
                        await self._write()
                        return
                    if last not in {None, there.revision} or self._clock() >= until:
                        raise HostsError(self._doubled(there.value)) from None
                    if last is None:
                        log.info("waiting for the end of an earlier run of host %s", self.entry.name)
                    last = there.revision
                await asyncio.sleep(LOOK_S)
            else:
                self._done()
                return

    def _is_ours(self, value: bytes) -> bool:
        try:
            return host_in(value, self.entry.name).incarnation in self._earlier
        except HostsError:
            return False

    def _doubled(self, value: bytes) -> str:
        return (
            f"a host named {self.entry.name!r} runs already (it says {quoted(value)}): "
            "stop that one, or give this one another `hosts.name`"
        )

    async def keep(self, failed: Callable[[KvError], None], answered: Callable[[], None]) -> None:
        """Renew the entry until cancelled; failures are told and tried again."""
        while True:
            try:
                async with asyncio.timeout(max(0.0, self._due_at - self._clock())):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            try:
                await self._write()
                answered()
            except KvError as error:
                failed(error)
                self._wanted.clear()
                self._due_at = self._clock() + RETRY * self._lease_s

    async def _write(self) -> None:
        try:
            self._revision = await self._bucket.update(self.entry.name, self._said(), self._revision)
        except TakenError:
            there = await self._bucket.get(self.entry.name)
            if there is None or there.value is None:
                self._revision = await self._bucket.create(self.entry.name, self._said())
            elif self._is_ours(there.value):  # an earlier write that wasn't answered
                self._revision = await self._bucket.update(self.entry.name, self._said(), there.revision)
            else:
                raise KvError(self._doubled(there.value)) from None
        self._done()

    def _said(self) -> bytes:
        self._written = self.entry
        return encode(replace(self.entry, up_s=self._clock() - self._came_at))

    def _done(self) -> None:
        self._due_at = self._clock() + RENEW * self._lease_s

    async def leave(self) -> None:
        """Delete the entry. Raises KvError; it then ends by its TTL."""
        if self._revision:
            try:
                await self._bucket.delete(self.entry.name, self._revision)
            except TakenError:
                there = await self._bucket.get(self.entry.name)
                if there is not None and there.value is not None and self._is_ours(there.value):
                    await self._bucket.delete(self.entry.name, there.revision)
