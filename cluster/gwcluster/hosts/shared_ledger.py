"""The identify ledger of all hosts (does): in this host's file first, and in NATS by compare-and-set."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from nats.aio.client import Client

from gwcluster.hosts.errors import HostsError, KvError, TakenError
from gwcluster.hosts.kv import Bucket
from gwcluster.hosts.kv_watch import Changed, Listed, Seen, watch
from gwcluster.hosts.ledger_page import Add, Change, Learn, Page, Row, Set, Wait, changed, decode, encode
from gwcluster.identify.caution import Past
from gwcluster.identify.gateway_info import LONGEST_WAIT_S
from gwcluster.identify.known import Known
from gwcluster.identify.known import decode as known_in
from gwcluster.identify.ledger import DAY_S, Ledger, LedgerError
from gwcluster.log.jetstream import names

KEY: Final = "ledger"
WITHIN_S: Final = 2.0
TRIES: Final = 20
"""Of one change, while others change the ledger, too: each that fails is another host's success."""

PAUSE_S: Final = 0.02
RETRY_S: Final = 1.0
UNDONE: Final = 64
HEADERS_BYTES: Final = 4096
"""What a message needs beside its value."""

CLOCKS_S: Final = 30.0
"""By so much this host's clock may differ from the servers': all hosts must mean the same day."""

log = logging.getLogger(__name__)


class SharedLedger:
    """Has the methods of `identify.ledger.Ledger`, which speak for all hosts.

    A permit is counted by `reserve`, before the gate can grant it, so no two hosts spend the same one of a
    day's limit. What becomes of it is brought to the others when there is time: until then it counts.

    Args:
        client, cluster: as for `Leases`.
        host: this host's name.
        owner: as for `SharedKeys`: this host's permits begin with it.
        local: this host's file; written first.
        clock: Unix seconds.
        limit: tells how many identifies all hosts together may spend in a day (total less reserve).
        others_spent: told how many permits other hosts took since it was last called.
        born: a random name, for the ledger if it is made now.
        room_bytes: other than what the server takes, for tests.
    """

    def __init__(
        self,
        client: Client,
        *,
        cluster: str,
        host: str,
        owner: str,
        local: Ledger,
        clock: Callable[[], float],
        limit: Callable[[], int],
        others_spent: Callable[[int], None],
        born: str,
        room_bytes: int | None = None,
    ) -> None:
        self._client = client
        self._bucket = Bucket(client, names.bucket(cluster, "state"), ttl_s=None, within_s=WITHIN_S)
        self._host = host
        self._own = f"{owner}."
        self._local = local
        self._clock = clock
        self._limit = limit
        self._others_spent = others_spent
        self._page = Page(born)
        self._revision = 0
        self._room_bytes = room_bytes
        self._seen: set[str] = set()  # others' permits that were told of
        self._joined = False
        self._reserved: dict[int, str] = {}  # key → permit, to be granted
        self._rows: dict[int, str] = {}  # of this host's file → permit
        self._pending: dict[str, Change] = {}
        self._undone: deque[str] = deque(maxlen=UNDONE)
        self._unsure = False
        self._flush = asyncio.Event()
        self._writing = asyncio.Lock()

    async def join(self) -> None:
        """Read what the hosts know, and add what this host's file knows from before it was one of several.

        Raises:
            HostsError: JetStream doesn't answer, the ledger there is of a newer gwcluster, or this host's
                clock is wrong.
            LedgerError: this host's file can't be read or written.
        """
        await self._bucket.make()
        ahead_s = self._clock() - await self._bucket.server_time()
        if abs(ahead_s) > CLOCKS_S:
            raise HostsError(
                f"this host's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the "
                "NATS server's, and identifies of a day are counted by it: set both by NTP"
            )
        await self._read()
        if self._revision == 0 or self._local.shared_in != self._page.born:
            own = {
                f"{self._host}@{past.granted_at:.3f}/{past.shard}": Row(
                    past.shard, past.granted_at, past.sent_at
                )
                for past in self._local.past(0.0)
            }
            await self._change([Add(own)], make=True)
            self._local.keep_shared_in(self._page.born)
        self._joined = True

    async def run(self) -> None:
        """Bring what happened here to the others, and hear of what happened there, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(self._bucket, self._hear, key=KEY))
            while True:
                await self._flush.wait()
                self._flush.clear()
                await self._bring()

    async def _bring(self) -> None:
        while self._pending:
            bringing = dict(self._pending)
            try:
                await self._change(list(bringing.values()))
            except HostsError as error:
                log.warning(
                    "what became of %d identifies isn't told to the others yet: %s", len(bringing), error
                )
                await asyncio.sleep(RETRY_S)
            else:
                for name, change in bringing.items():
                    if self._pending.get(name) is change:
                        del self._pending[name]

    async def reserve(self, permit: str, shard: int, key: int) -> bool:
        """Count a permit of a key for all hosts; False: the day's limit doesn't allow it.

        Raises:
            HostsError: nobody knows whether it is counted. It isn't granted, and taken back.
        """
        add = Add({permit: Row(shard, self._clock())})

        def room(page: Page) -> bool:
            return permit in page.rows or page.spent_since(self._clock() - DAY_S) < self._limit()

        try:
            counted = await self._change([add], allowed=room)
        except HostsError:
            self._undone.append(permit)  # it may still be written
            self.unreserve(permit)
            raise
        if counted:
            self._reserved[key] = permit
        return counted

    def unreserve(self, permit: str) -> None:
        """A permit that was counted was never granted."""
        self._reserved = {key: name for key, name in self._reserved.items() if name != permit}
        self._post(permit, Set(permit, None))

    def granted(self, shard: int, shards: int, key: int, at_wall: float) -> int:
        """Keep a permit of a key that was reserved, before it leaves. Raises LedgerError."""
        if (permit := self._reserved.get(key)) is None:
            raise LedgerError(f"key {key} isn't reserved in the ledger of all hosts")
        row = self._local.granted(shard, shards, key, at_wall)
        del self._reserved[key]
        self._rows[row] = permit
        self._post(permit, Set(permit, Row(shard, at_wall)))
        return row

    def sent(self, permit: int, at_wall: float) -> None:
        """IDENTIFY was written. Raises LedgerError."""
        self._local.sent(permit, at_wall)
        self._amend(permit, sent_at=at_wall)

    def unused(self, permit: int) -> None:
        """The permit came back. Raises LedgerError."""
        self._local.unused(permit)
        if (name := self._rows.pop(permit, None)) is not None:
            self._post(name, Set(name, None))

    def outcome(self, permit: int, text: str) -> None:
        """Keep what became of the identify, as of now. Raises LedgerError."""
        self._local.outcome(permit, text)
        self._amend(permit, outcome=text, outcome_at=self._clock())
        self._rows.pop(permit, None)

    def _amend(self, permit: int, **told: float | str) -> None:
        name = self._rows.get(permit)
        if (
            name is not None
            and (row := changed(self._page, self._pending.values()).rows.get(name)) is not None
        ):
            self._post(name, Set(name, replace(row, **told)))  # type: ignore[arg-type]

    def _post(self, name: str, change: Change) -> None:
        self._pending[name] = change  # the last word on a permit is the whole of it
        self._flush.set()

    @property
    def _now(self) -> Page:
        return changed(self._page, self._pending.values())

    def spent_since(self, wall: float) -> int:
        """Return how many identifies all hosts sent or may have sent since."""
        return self._now.spent_since(wall)

    def last_sent_by_key(self, max_concurrency: int) -> dict[int, float]:
        """Return the Unix second of the last IDENTIFY of each key, on whichever host. Raises LedgerError."""
        last = self._local.last_sent_by_key(max_concurrency)
        for key, at in self._now.last_sent_by_key(max_concurrency, self._clock()).items():
            last[key] = max(at, last.get(key, at))
        return last

    def past(self, offset_s: float) -> list[Past]:
        """Return every identify of the last day, on whichever host."""
        return self._now.past(self._clock(), offset_s)

    @property
    def known(self) -> Known | None:
        """What Discord last said to any host. Raises LedgerError."""
        said = self._now.known
        return (None if said is None else known_in(said)) or self._local.known

    def keep_known(self, known: Known) -> None:
        """Keep what Discord said. Raises LedgerError."""
        self._local.keep_known(known)
        self._post(":known", Learn(known.encode(), self._clock()))

    @property
    def not_before(self) -> float | None:
        """Unix second before which no host must ask Discord's REST. Raises LedgerError."""
        now, here, there = self._clock(), self._local.not_before, self._now.not_before
        if there is not None and not now < there <= now + LONGEST_WAIT_S + 60.0:
            there = None
        return max((at for at in (here, there) if at is not None), default=None)

    def set_not_before(self, wall: float) -> None:
        """Keep the Unix second before which Discord's REST must not be asked. Raises LedgerError."""
        self._local.set_not_before(wall)
        self._post(":not_before", Wait(wall))

    async def close(self, *, within_s: float) -> None:
        """Bring the rest to the others, after `run`; what isn't answered within `within_s` counts as sent."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._bring()

    async def _change(
        self,
        changes: list[Change],
        *,
        allowed: Callable[[Page], bool] = lambda _: True,
        make: bool = False,
    ) -> bool:
        """Make changes by compare-and-set; False: `allowed` doesn't, by what the others have done."""
        async with self._writing:
            for attempt in range(TRIES):
                if attempt:
                    await asyncio.sleep(PAUSE_S)
                if attempt or self._unsure:
                    await self._read()
                    self._unsure = False
                if not allowed(self._page):
                    return False
                page = changed(self._page, changes)
                if page is self._page and not (make and self._revision == 0):
                    return True  # it had happened, and only the answer was lost
                page = page.tidied(self._clock())
                try:
                    revision = await self._write(page)
                except TakenError:
                    continue
                except KvError:
                    self._unsure = True
                    raise
                self._take(page, revision)
                return True
        raise KvError(f"bucket {self._bucket.name!r}, key {KEY!r}: others wrote it {TRIES} times meanwhile")

    async def _write(self, page: Page) -> int:
        room = (self._client.max_payload - HEADERS_BYTES) if self._room_bytes is None else self._room_bytes
        value = encode(page, room)
        if self._revision == 0:
            return await self._bucket.create(KEY, value)
        return await self._bucket.update(KEY, value, self._revision)

    async def _read(self) -> None:
        there = await self._bucket.get(KEY)
        if there is not None and there.value is not None:
            self._take(decode(there.value), there.revision)

    def _hear(self, seen: Seen) -> None:
        match seen:
            case Changed(entry):
                heard = [entry]
            case Listed(entries):
                heard = [entry for entry, _ in entries]
            case _:
                heard = []
        for entry in heard:
            if entry.value is not None and entry.revision > self._revision:
                try:
                    self._take(decode(entry.value), entry.revision)
                except HostsError as error:
                    log.error("%s", error)

    def _take(self, page: Page, revision: int) -> None:
        if revision < self._revision:
            return
        self._page, self._revision = page, revision
        others = {name for name in page.rows if not name.startswith(self._own)}
        day = self._clock() - DAY_S
        new = sum(page.rows[name].counts_at >= day for name in others - self._seen)
        self._seen = others
        if new and self._joined:
            self._others_spent(new)
        for name in [name for name in self._undone if name in page.rows]:
            self._undone.remove(name)
            self.unreserve(name)
