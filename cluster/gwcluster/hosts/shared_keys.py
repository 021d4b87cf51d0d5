"""Takes and returns keys of permits in NATS, as `permit_keys` decides (does)."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final, Protocol

from nats.aio.client import Client

from gwcluster.errors import GwclusterError
from gwcluster.hosts.errors import HostsError, KvError, TakenError
from gwcluster.hosts.kv import Bucket
from gwcluster.hosts.kv_watch import Changed, Listed, Seen, watch
from gwcluster.hosts.permit_keys import TTL_S, PermitKeys, Return, Spans, Take
from gwcluster.identify.gate import Gate
from gwcluster.log.jetstream import names

WITHIN_S: Final = 2.0

log = logging.getLogger(__name__)


class Counted(Protocol):
    """Where each permit is counted before it may be granted; a `SharedLedger` is one."""

    async def reserve(self, permit: str, shard: int, key: int) -> bool:
        """Count a permit; False: the day's limit doesn't allow it. Raises HostsError: nobody knows."""

    def unreserve(self, permit: str) -> None:
        """The permit was never granted."""


class SharedKeys:
    """What `Permits(…, keys=…)` consults before a permit is granted.

    Args:
        client, cluster: as for `Leases`.
        owner: this run of the coordinator, as no other has it.
        ledger: counts each permit.
        clock: monotonic seconds.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
        wake: called when a key may be granted, or asked for again: let `Permits.step` run.
        spans, ttl_s: other ones than Discord's, for tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        cluster: str,
        owner: str,
        ledger: Counted,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        wake: Callable[[], None],
        spans: Spans | None = None,
        ttl_s: float = TTL_S,
    ) -> None:
        self._bucket = Bucket(client, names.bucket(cluster, "permits"), ttl_s=ttl_s, within_s=WITHIN_S)
        self._keys = PermitKeys(owner=owner, jitter=jitter, spans=spans)
        self._ledger = ledger
        self._clock = clock
        self._wake = wake
        self._asking: set[asyncio.Task[None]] = set()
        self._failing = False

    async def join(self) -> None:
        """Make the bucket if it is missing. Raises HostsError."""
        await self._bucket.make()

    async def run(self) -> None:
        """Hear of keys that other hosts return, until cancelled."""
        await watch(self._bucket, self._hear)

    def held(self, now: float) -> dict[int, float]:
        """Return the keys that may be granted now, each with the moment until which its permit is good."""
        return self._keys.held(now)

    def granted(self, key: int) -> None:
        """A permit of a key that is held is about to leave."""
        self._keys.granted(key)

    def look(self, gate: Gate, now: float) -> None:
        """Take what the gate wants and return what it no longer needs; after every step of the gate."""
        for each in self._keys.look(gate.wanted_keys(now), gate.busy_keys, gate.key_opens_at, now):
            self._start(each)

    @property
    def due(self) -> float | None:
        """The next moment at which `look` may have something to do."""
        return self._keys.due

    def _start(self, each: Take | Return) -> None:
        task = asyncio.get_running_loop().create_task(
            self._take(each) if isinstance(each, Take) else self._return(each)
        )
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _take(self, take: Take) -> None:
        try:
            revision = await self._create(take)
        except TakenError:
            self._keys.refused(take, self._clock())
        except KvError as error:
            self._failed(f"shard {take.shard} can't identify: {error}")
            self._keys.unanswered(take, self._clock())
        else:
            await self._count(take, revision)
        self._wake()

    async def _create(self, take: Take) -> int:
        key, value = str(take.key), json.dumps({"v": 1, "permit": take.permit}).encode()
        try:
            return await self._bucket.create(key, value)
        except TakenError:
            there = await self._bucket.get(key)
            if there is not None and there.value == value:  # an earlier try, of which no answer came
                return there.revision
            raise

    async def _count(self, take: Take, revision: int) -> None:
        try:
            allowed = await self._ledger.reserve(take.permit, take.shard, take.key)
        except GwclusterError as error:
            self._failed(f"shard {take.shard} can't identify, as that can't be counted: {error}")
            allowed = False
        else:
            self._failing = False
        if allowed:
            self._keys.taken(take, revision)
        else:
            self._keys.refused(take, self._clock())
            await self._return(Return(take.key, revision, take.permit, unused=True))

    async def _return(self, back: Return) -> None:
        if back.unused:
            self._ledger.unreserve(back.permit)
        try:
            await self._bucket.delete(str(back.key), back.revision)
        except TakenError:
            pass  # it has ended by its TTL, and may be somebody else's
        except HostsError as error:
            log.info("key %d is left to its TTL: %s", back.key, error)

    def _failed(self, why: str) -> None:
        if not self._failing:
            log.error("%s", why)
        self._failing = True

    def _hear(self, seen: Seen) -> None:
        match seen:
            case Changed(entry) if entry.value is None and entry.key.isdecimal():
                self._keys.freed(int(entry.key), self._clock())
                self._wake()
            case Listed():
                self._wake()
            case _:
                pass

    async def close(self, *, within_s: float) -> None:
        """Return every key that nothing was granted of; what isn't answered within `within_s` ends by TTL."""
        for each in self._keys.leave():
            self._start(each)
        if self._asking:
            _, late = await asyncio.wait(set(self._asking), timeout=within_s)
            for task in late:
                task.cancel()
