"""Holds the leases of this host's shards (does): what `shares` and `book` decide, asked of the bucket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from nats.aio.client import Client

from gwcluster.hosts.book import Book, Delete, Found, Request, Write
from gwcluster.hosts.entries import HostEntry, encode, host_in, mark_in
from gwcluster.hosts.errors import HostsError, KvError, TakenError, UnansweredError
from gwcluster.hosts.health import Health
from gwcluster.hosts.kv import Bucket, Entry
from gwcluster.hosts.kv_watch import Changed, Listed, Seen, Unheard, watch
from gwcluster.hosts.neighbours import Neighbours
from gwcluster.hosts.place import Place
from gwcluster.hosts.shares import Pace, moves
from gwcluster.hosts.snapshot import HostNow, Snapshot
from gwcluster.hosts.told import GiveUp, Renewed, Told
from gwcluster.log.jetstream import names

ANSWER: Final = 1 / 10
TICK: Final = 1 / 30
"""How much of a lease an answer may take, and passes between two looks at most."""

JOIN_S: Final = 30.0
BREATH_S: Final = 0.01
"""Between two looks at least: a look takes a millisecond where there are a thousand shards."""

STAGGER_S: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Me:
    """This host.

    Attributes:
        name: of the host, as NATS allows it in a key.
        incarnation: of this run of the coordinator; never used twice.
        earlier: incarnations that are known to be dead, workers included (see `incarnation`).
        version: of gwcluster.
        started_at: Unix seconds.
        events, requests: addresses of its ZeroMQ sockets, as others reach them.
        http: host:port, None: none.
    """

    name: str
    incarnation: str
    earlier: frozenset[str]
    version: str
    started_at: float
    events: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    http: str | None = None


class Leases:
    """Claims, renews and gives up leases, and tells what became of them.

    Args:
        client: connected to NATS; reconnects for ever. It is the caller's to close.
        cluster: `name` of cluster.yaml.
        me: this host.
        shards: every shard that the cluster runs, on whichever host.
        lease_s: how long a lease lasts; the bucket's TTL.
        clock: monotonic seconds, as workers read them.
        tell: hears what happens, in the event loop; must not block or raise.
    """

    def __init__(
        self,
        client: Client,
        *,
        cluster: str,
        me: Me,
        shards: Sequence[int],
        lease_s: float,
        clock: Callable[[], float],
        tell: Callable[[Told], None],
    ) -> None:
        self.lease_s = lease_s
        self._client = client
        self._me = me
        self._shards = frozenset(shards)
        self._clock = clock
        self._tell = tell
        within_s = ANSWER * lease_s
        self._bucket = Bucket(client, names.bucket(cluster, "leases"), ttl_s=lease_s, within_s=within_s)
        self._hosts_bucket = Bucket(client, names.bucket(cluster, "hosts"), ttl_s=lease_s, within_s=within_s)
        self._book = Book(host=me.name, incarnation=me.incarnation, lease_s=lease_s, tell=self._told)
        self._neighbours = Neighbours(shards, lease_s=lease_s, now=clock())
        entry = HostEntry(
            name=me.name,
            incarnation=me.incarnation,
            version=me.version,
            started_at=me.started_at,
            up_s=0.0,
            events=me.events,
            requests=me.requests,
            http=me.http,
        )
        self._place = Place(self._hosts_bucket, entry, earlier=me.earlier, lease_s=lease_s, clock=clock)
        self._pace = Pace(settle_s=lease_s, patience_s=2 * lease_s, stagger_s=STAGGER_S)
        self._health = Health()
        self._listed = {"leases": False, "hosts": False}
        self._live: frozenset[int] = frozenset()
        self._draining = False
        self._woken = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()

    async def join(self) -> None:
        """Make what is missing in NATS and enter the hosts, before `run`.

        Raises:
            HostsError: a host of this name runs, JetStream doesn't answer for half a minute, or the server
                is too old.
        """
        until = self._clock() + max(JOIN_S, 2 * self.lease_s)
        while True:
            try:
                await self._bucket.make()
                await self._hosts_bucket.make()
                await self._place.join()
            except UnansweredError as error:
                if self._clock() >= until:
                    raise
                self._failed(error)
                await asyncio.sleep(0.5)
            else:
                self._answered()
                return

    async def run(self) -> None:
        """Claim, renew and give up until cancelled. Failures of NATS are said and tried again."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(watch(self._bucket, self._hear_lease))
                tasks.create_task(watch(self._hosts_bucket, self._hear_host))
                tasks.create_task(self._place.keep(self._failed, self._answered))
                while True:
                    self._look()
                    await self._until_due()
        finally:
            for task in self._asking:
                task.cancel()

    async def _until_due(self) -> None:
        now = self._clock()
        tick_s = TICK * self.lease_s
        due = self._book.due
        wait_s = tick_s if due is None else min(tick_s, max(BREATH_S, due - now))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
                await asyncio.sleep(BREATH_S)
        self._woken.clear()

    def released(self, shard: int) -> None:
        """Its worker has ended (after `GiveUp`, or for good): somebody else may have the lease."""
        self._book.released(shard, self._clock())
        self._woken.set()

    def live(self, shards: Collection[int]) -> None:
        """These shards of ours are live now; hosts give up their next one only when all are."""
        self._live = frozenset(shards)
        self._say()

    def drain(self) -> None:
        """Give up every shard, one after the other, and claim none. It can't be taken back."""
        self._draining = True
        self._say()
        self._woken.set()

    @property
    def drained(self) -> bool:
        """Whether a drain has nothing left to give up."""
        return self._draining and not self._book.shards

    def until(self, shard: int) -> float | None:
        """Return the monotonic moment (s) at which the lease of a shard ends; None: it isn't ours."""
        return self._book.until(shard)

    def stop_at(self, shard: int) -> float | None:
        """Return the moment at which a shard's worker has to be gone, unless it is told a later one."""
        return self._book.stop_at(shard)

    def may_start(self, shard: int) -> bool:
        """Say whether a worker may be started: its lease is kept and lasts for more than half its time."""
        return self._book.may_start(shard, self._clock())

    def holder(self, shard: int) -> str | None:
        """Return the host that has the lease of a shard, as far as is known; None: nobody has."""
        found = self._neighbours.leases.get(shard)
        return None if found is None else found.mark.host

    def snapshot(self) -> Snapshot:
        """Return how the hosts are."""
        now = self._clock()
        held: dict[str, list[int]] = {}
        for shard, found in self._neighbours.leases.items():
            held.setdefault(found.mark.host, []).append(shard)
        hosts = tuple(
            HostNow(entry, self._neighbours.seen_s(name, now), tuple(sorted(held.get(name, ()))))
            for name, entry in sorted(self._neighbours.hosts.items())
        )
        taken = self._neighbours.leases.keys() | self._book.shards
        health = self._health
        server = self._client.connected_url
        return Snapshot(
            me=self._me.name,
            draining=self._draining,
            leases={shard: until - now for shard, until in sorted(self._book.held.items())},
            hosts=hosts,
            free=tuple(sorted(self._shards - taken)),
            connected=self._client.is_connected,
            server=None if server is None else server.netloc.rpartition("@")[2],  # never a password
            answered_s=None if health.answered_at is None else now - health.answered_at,
            unreachable_s=None if health.unreachable_since is None else now - health.unreachable_since,
            leader=health.leader,
            why=health.why,
        )

    async def close(self, *, within_s: float) -> None:
        """Delete our leases and our entry, after `run`: every worker has ended.

        What isn't answered within `within_s` ends by its TTL.
        """
        self._draining = True
        for shard in self._book.shards:
            self._book.released(shard, self._clock())
        with contextlib.suppress(TimeoutError, KvError):
            async with asyncio.timeout(within_s):
                while self._book.shards:
                    self._ask()
                    await self._until_due()
                await self._place.leave()
        for task in self._asking:
            task.cancel()

    def _look(self) -> None:
        now = self._clock()
        self._neighbours.settle(now)
        self._ask()
        if all(self._listed.values()):
            self._adopt(now)
            self._move(now)
            self._ask()
        self._say()

    def _adopt(self, now: float) -> None:
        """Take over what is ours by the bucket, though not by the book."""
        ours = self._me.earlier | {self._me.incarnation}
        for shard, found in self._neighbours.leases.items():
            if found.mark.incarnation in ours and shard not in self._book.shards and not self._draining:
                self._book.claim(shard, now, revision=found.revision)

    def _move(self, now: float) -> None:
        view = self._neighbours.view()
        mine = dict.fromkeys(self._book.shards, self._me.name)
        hosts = dict(view.hosts)
        if self._me.name in hosts:
            hosts[self._me.name] = replace(hosts[self._me.name], draining=self._draining)
        decided = moves(
            replace(view, hosts=hosts, holders={**view.holders, **mine}),
            me=self._me.name,
            shards=self._shards,
            giving=self._book.giving,
            now=now,
            pace=self._pace,
        )
        for shard in decided.claim:
            self._book.claim(shard, now)
        if decided.give_up is not None and decided.give_up in self._book.shards:
            self._book.give_up(decided.give_up)

    def _ask(self) -> None:
        for request in self._book.todo(self._clock()):
            task = asyncio.get_running_loop().create_task(self._perform(request))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _perform(self, request: Request) -> None:
        key = str(request.shard)
        try:
            try:
                match request:
                    case Write(revision=0):
                        revision = await self._bucket.create(key, encode(request.mark))
                        self._book.written(request, revision)
                    case Write():
                        revision = await self._bucket.update(key, encode(request.mark), request.revision)
                        self._book.written(request, revision)
                    case Delete():
                        revision = await self._bucket.delete(key, request.revision)
                        self._book.deleted(request)
                        self._woken.set()
                        self._neighbours.lease_gone(request.shard, revision, self._clock())
            except TakenError:
                found = _found(await self._bucket.get(key))
                self._book.refused(request, found, self._clock())
                self._woken.set()
                if found is None:
                    self._neighbours.lease_gone(request.shard, request.revision, self._clock())
            self._answered()
        except HostsError as error:  # also a lease that can't be read: whose it is will be seen, or it ends
            self._book.unanswered(request, self._clock())
            self._failed(error)

    def _hear_lease(self, seen: Seen) -> None:
        now = self._clock()
        match seen:
            case Listed():
                listed = [
                    (int(entry.key), found, age_s)
                    for entry, age_s in seen.entries
                    if entry.key.isdecimal() and (found := self._read(entry)) is not None
                ]
                self._neighbours.list_leases(listed, now)
                self._heard("leases")
            case Changed(entry) if entry.key.isdecimal():
                if entry.value is None:
                    self._neighbours.lease_gone(int(entry.key), entry.revision, now)
                    self._woken.set()
                elif (found := self._read(entry)) is not None:
                    self._neighbours.lease(int(entry.key), found, now)
            case Unheard(why):
                self._unheard("leases", why)
            case _:
                pass

    def _hear_host(self, seen: Seen) -> None:
        now = self._clock()
        match seen:
            case Listed():
                listed = [
                    (host, age_s)
                    for entry, age_s in seen.entries
                    if (host := self._read_host(entry)) is not None
                ]
                self._neighbours.list_hosts(listed, now)
                self._heard("hosts")
            case Changed(entry):
                if entry.value is None:
                    self._neighbours.host_gone(entry.key, now)
                elif (host := self._read_host(entry)) is not None:
                    self._neighbours.host(host, now)
                self._woken.set()
            case Unheard(why):
                self._unheard("hosts", why)

    def _read(self, entry: Entry) -> Found | None:
        try:
            return _found(entry)
        except HostsError as error:
            log.warning("%s", error)
            return None

    def _read_host(self, entry: Entry) -> HostEntry | None:
        try:
            return host_in(entry.value or b"", entry.key)
        except HostsError as error:
            log.warning("%s", error)
            return None

    def _heard(self, what: str) -> None:
        self._listed[what] = True
        self._answered()
        self._woken.set()

    def _unheard(self, what: str, why: str) -> None:
        if self._listed[what]:
            log.info("%s", why)
        self._listed[what] = False

    def _told(self, told: Told) -> None:
        if isinstance(told, GiveUp):
            self._live -= {told.shard}
        if not isinstance(told, Renewed):
            self._woken.set()
        self._tell(told)

    def _say(self) -> None:
        held = tuple(sorted(self._book.held))
        live = tuple(sorted(self._live.intersection(held) - self._book.giving))
        self._place.change(live=live, shards=held, draining=self._draining)

    def _answered(self) -> None:
        if self._health.answered(self._clock()):
            log.warning("JetStream answers again")

    def _failed(self, error: HostsError) -> None:
        leaderless = isinstance(error, UnansweredError) and error.leaderless
        if self._health.failed(self._clock(), str(error), leaderless=leaderless):
            log.error("JetStream doesn't answer, and leases that aren't renewed end: %s", error)


def _found(entry: Entry | None) -> Found | None:
    if entry is None or entry.value is None:
        return None
    return Found(mark_in(entry.value, entry.key), entry.revision)
