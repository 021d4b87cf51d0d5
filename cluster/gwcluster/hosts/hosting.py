"""This host as one of several (does): what the coordinator needs of NATS, from the connection to the leases.

Nothing of it is imported where cluster.yaml has no `hosts`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final, TypeVar

from gwcluster.config import Config
from gwcluster.errors import LogError
from gwcluster.hosts.book import STOP
from gwcluster.hosts.document import document
from gwcluster.hosts.door import Answer, Door
from gwcluster.hosts.errors import UnansweredError
from gwcluster.hosts.incarnation import begin
from gwcluster.hosts.layout import agree, agreed
from gwcluster.hosts.leases import Leases, Me
from gwcluster.hosts.shared_keys import SharedKeys
from gwcluster.hosts.shared_ledger import SharedLedger
from gwcluster.hosts.tenure import Crew, Tenure
from gwcluster.identify.ledger import Ledger
from gwcluster.log.interface import LogWriter
from gwcluster.log.jetstream.answers import NoAnswer
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.opening import Taking, take
from gwcluster.log.jetstream.reader import BlockingReader, Reader
from gwcluster.log.jetstream.sessions import Sessions
from gwcluster.log.session_state import SavedSession, token_digest
from gwcluster.log.writer import boot_id
from gwcluster.state_folder import StateFolder
from gwcluster.supervise.commands import DEFAULT_TTL_S
from gwcluster.wire.requests import Send

JOIN_S: Final = 30.0
AGAIN_S: Final = 0.5
CLOSE_S: Final = 2.0

AT_ONCE: Final = 64
"""Saved sessions that are asked for at once."""

_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)


def boot_time() -> float:
    """Return monotonic seconds that go on while the machine is suspended, as `Leased` has them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@asynccontextmanager
async def joined(config: Config, state: StateFolder, local: Ledger) -> AsyncIterator[Hosting]:
    """Be connected to NATS, and know what all hosts know, as long as the block runs.

    Args:
        config: with `hosts`.
        state: whose lock this process holds.
        local: the ledger in it.

    Raises:
        GwclusterError: NATS can't be used; the message says why.
    """
    hosts = config.hosts
    assert hosts is not None, "nobody asks for NATS on a single host"
    begun = begin(state.path, boot=boot_id(), fresh=secrets.token_hex(8))
    addresses = hosts.addresses
    assert addresses is not None, "a host has addresses"
    me = Me(
        name=hosts.name,
        incarnation=begun.now,
        earlier=begun.earlier,
        version=version("gwcluster"),
        started_at=time.time(),
        events=(addresses.events,),
        requests=(addresses.requests,),
        http=addresses.http,
    )
    link = await Link.connect(hosts.login, name=f"gwcluster {config.name}, host {hosts.name}")
    hosting = Hosting(config, link, me, local)
    try:
        await patiently(hosting.ledger.join)
        yield hosting
    finally:
        await hosting.close()


async def patiently(
    ask: Callable[[], Awaitable[_Answer]], *, within_s: float = JOIN_S, again_s: float = AGAIN_S
) -> _Answer:
    """Return what is answered, also if JetStream doesn't at first: what was just made has no leader yet.

    Args:
        ask: asks again each time; doing so twice is doing so once.
        within_s: for so many seconds.
        again_s: so many seconds after each time.

    Raises:
        HostsError, LogError: it still doesn't answer then, or refuses.
    """
    until = time.monotonic() + within_s
    while True:
        try:
            return await ask()
        except (UnansweredError, NoAnswer) as error:
            if time.monotonic() >= until:
                raise
            log.info("%s; asking again", error)
        await asyncio.sleep(again_s)


class Hosting:
    """The host's connection to NATS and what hangs on it. Use `joined`.

    Attributes:
        ledger: of all hosts.
        keys: of all hosts' permits.
    """

    def __init__(self, config: Config, link: Link, me: Me, local: Ledger) -> None:
        """Use `joined`."""
        assert config.hosts is not None, "nobody asks for NATS on a single host"
        self._config = config
        self._login = config.hosts.login
        self._lease_s = config.hosts.lease_s
        self._link = link
        self._me = me
        self._leases: Leases | None = None
        self._tenure: Tenure | None = None
        self._door: Door | None = None
        self._loop = asyncio.get_running_loop()
        self._borrowing: set[asyncio.Task[None]] = set()
        self.limit: Callable[[], int] = lambda: 0
        self.others_spent: Callable[[int], None] = lambda _: None
        self.wake: Callable[[], None] = lambda: None
        self.ledger = SharedLedger(
            link.client,
            cluster=config.name,
            host=me.name,
            owner=f"{me.name}.{me.incarnation}",
            local=local,
            clock=time.time,
            limit=lambda: self.limit(),
            others_spent=lambda count: self.others_spent(count),
            born=secrets.token_hex(8),
        )
        self.keys = SharedKeys(
            link.client,
            cluster=config.name,
            owner=f"{me.name}.{me.incarnation}",
            ledger=self.ledger,
            clock=time.monotonic,
            jitter=random.random,
            wake=lambda: self.wake(),
        )

    async def shards(self) -> int | None:
        """Return the shard count that the hosts agreed upon, None if nobody has said one yet.

        Raises:
            HostsError: JetStream doesn't answer.
        """
        found = await patiently(lambda: agreed(self._link.client, cluster=self._config.name))
        return None if found is None else found.shards

    async def agree(self, shards: int) -> None:
        """Agree with the other hosts on a shard count.

        Raises:
            LayoutError: they have another one.
            HostsError: JetStream doesn't answer.
        """
        name, host = self._config.name, self._me.name
        await patiently(lambda: agree(self._link.client, cluster=name, host=host, shards=shards))

    async def employ(self, crew: Crew, ids: Sequence[int], send: Callable[[Send, Answer], None]) -> None:
        """Enter the hosts, with a crew that runs what leases it gets from `run` on.

        Args:
            crew: all shards are away.
            ids: all shards that the hosts run.
            send: has a payload that another host passes on sent by a worker of this one.

        Raises:
            HostsError: another host of this name runs, or JetStream doesn't answer.
        """
        self._leases = Leases(
            self._link.client,
            cluster=self._config.name,
            me=self._me,
            shards=ids,
            lease_s=self._lease_s,
            clock=boot_time,
            tell=lambda told: tenure.heard(told),
        )
        tenure = self._tenure = Tenure(self._leases, crew)
        self._door = Door(self._link.client, cluster=self._config.name, host=self._me.name, send=send)
        await patiently(self.keys.join)
        await self._leases.join()
        await self._door.open()

    async def run(self) -> None:
        """Hold leases, take and return permits, and keep the ledger, until cancelled."""
        assert self._leases is not None, "run before employed"
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.ledger.run())
            tasks.create_task(self.keys.run())
            tasks.create_task(self._leases.run())

    def step(self) -> None:
        """Bring what runs in line with the leases."""
        assert self._tenure is not None, "asked before employed"
        self._tenure.step()

    def job(self, shard: int) -> dict[str, Any]:
        """Return what a worker's job says of hosts: where the log is, and how long the shard is ours."""
        assert self._leases is not None, "asked before employed"
        assert self._tenure is not None, "asked before employed"
        stop_at = self._leases.stop_at(shard)
        return {
            "nats": self._nats(self._tenure.token(shard)),
            "stop_at": 0.0 if stop_at is None else stop_at,
        }

    def _nats(self, token: int) -> dict[str, Any]:
        return {
            "login": self._login.document(),
            "name": self._config.name,
            "host": self._me.name,
            "token": token,
        }

    def reader(self, shard: int) -> BlockingReader:
        """Return what reads a shard's log for another thread, whichever host runs the shard."""
        return BlockingReader(Reader(self._link, self._config.name, shard), self._loop)

    def borrow(self, shard: int, shards: int, use: Callable[[LogWriter], None]) -> None:
        """Have a shard's log opened, used and closed, in a moment: its worker is dead, its lease ours."""
        assert self._tenure is not None, "asked before employed"
        retention = self._config.log.retention
        taking = Taking(
            self._nats(self._tenure.token(shard)), shard, shards, retention.bytes, retention.age_s
        )
        borrowing = self._loop.create_task(self._borrowed(taking, use))
        self._borrowing.add(borrowing)
        borrowing.add_done_callback(self._borrowing.discard)

    async def _borrowed(self, taking: Taking, use: Callable[[LogWriter], None]) -> None:
        try:
            opened = await take(
                taking,
                fenced=lambda why: log.warning("shard %d: %s", taking.shard, why),
                new_id=lambda: secrets.token_hex(8),
                clock=time.monotonic,
                wall=time.time,
            )
        except LogError as error:
            log.error("shard %d: its log doesn't say that it is failed: %s", taking.shard, error)
            return
        try:
            use(opened.writer)
            await opened.writer.finish()
        finally:
            opened.writer.close()
            await opened.leave()

    async def sessions(self, token: str, ids: Sequence[int]) -> dict[int, SavedSession]:
        """Return the saved sessions of the bot. How old they are isn't known: who can't resume identifies.

        Raises:
            LogError: JetStream doesn't answer.
        """
        room = asyncio.Semaphore(AT_ONCE)

        async def look(shard: int) -> tuple[int, SavedSession | None]:
            async with room:
                return shard, await patiently(Sessions(self._link, self._config.name, shard).look)

        found = await asyncio.gather(*map(look, ids))
        digest = token_digest(token)
        return {shard: saved for shard, saved in found if saved is not None and saved.token_digest == digest}

    def pass_on(self, shard: int, payload: object, ttl_s: float | None, answer: Answer) -> bool:
        """Have the host that runs a shard send a payload; False: none does at present."""
        holder = self.holder(shard)
        if self._door is None or holder is None or holder == self._me.name:
            return False
        ask = Send(None, payload, shard, None, ttl_s)
        self._door.pass_on(holder, ask, wait_s=DEFAULT_TTL_S if ttl_s is None else ttl_s, answer=answer)
        return True

    def holder(self, shard: int) -> str | None:
        """Return the host that has the lease of a shard, as far as is known; None: nobody has."""
        return None if self._leases is None else self._leases.holder(shard)

    def drain(self) -> None:
        """Hand all shards to other hosts, one after the other."""
        assert self._leases is not None, "asked before employed"
        log.warning("this host is being drained: its shards go to other hosts, and it takes no new ones")
        self._leases.drain()

    def leave(self) -> None:
        """Take no more shards: this host is being stopped. Each goes to others when its worker has ended."""
        if self._leases is not None:
            self._leases.drain()

    @property
    def status(self) -> dict[str, Any] | None:
        """The `hosts` of the status document, None while this host isn't one of them yet."""
        if self._leases is None:
            return None
        lease_s = self._lease_s
        return document(self._leases.snapshot(), lease_s=lease_s, spare_s=STOP * lease_s)

    async def close(self) -> None:
        """Let other hosts have the shards at once; every worker has ended."""
        if self._door is not None:
            self._door.close()
        if self._leases is not None:
            await self._leases.close(within_s=CLOSE_S)
        for borrowing in self._borrowing:
            borrowing.cancel()
        await self.keys.close(within_s=CLOSE_S)
        await self.ledger.close(within_s=CLOSE_S)
        await self._link.close()
