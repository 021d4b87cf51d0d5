"""Holds this host's place among the hosts and the leases of its shards (does)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from nats.aio.client import Client

from gwcluster.hosts.told import Told


@dataclass(frozen=True, slots=True)
class Me:
    """This host.

    Attributes:
        name: of the host, as NATS allows it in a key.
        incarnation: of this run of the coordinator; never used twice.
        earlier: incarnations that are known to be dead, workers included (see `incarnation`).
        addresses: of its sockets, for subscribers: `events`, `requests` (lists of strings), `http`.
        version: of gwcluster.
    """

    name: str
    incarnation: str
    earlier: frozenset[str]
    addresses: dict[str, list[str]]
    version: str


@dataclass(frozen=True, slots=True)
class HostNow:
    """One host in a snapshot. Moments are ages in seconds.

    Attributes:
        shards: whose leases it holds.
        seen_s: since it was last heard of.
    """

    name: str
    version: str
    draining: bool
    up_s: float
    seen_s: float
    addresses: dict[str, list[str]]
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How the hosts are, for status, as far as this one knows.

    Attributes:
        me: this host's name.
        draining: whether it gives up everything.
        leases: seconds that each lease of ours still lasts.
        hosts: all hosts, this one included.
        free: shards that nobody holds.
        connected: whether the connection to NATS stands.
        server: to which server, None: to none.
        answered_s: seconds since JetStream last answered us.
        unreachable_s: seconds since when it doesn't; None: it does.
        why: the last failure, None if there is none now.
    """

    me: str
    draining: bool
    leases: dict[int, float]
    hosts: tuple[HostNow, ...]
    free: tuple[int, ...]
    connected: bool
    server: str | None
    answered_s: float | None
    unreachable_s: float | None
    why: str | None


class Leases:
    """Claims, renews and gives up leases, and tells what became of them.

    Args:
        client: connected to NATS; reconnects for ever. It is the caller's to close.
        cluster: `name` of cluster.yaml.
        me: this host.
        shards: every shard that the cluster runs, on whichever host.
        lease_s: how long a lease lasts; the bucket's TTL.
        clock: monotonic seconds.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
        tell: hears what happens, in the event loop; must not block.
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
        jitter: Callable[[], float],
        tell: Callable[[Told], None],
    ) -> None: ...

    async def join(self) -> None:
        """Make what is missing in NATS and enter the hosts, before `run`.

        Raises:
            HostsError: another host of this name runs, JetStream doesn't answer, or the server is too old.
        """

    async def run(self) -> None:
        """Claim, renew, give up until cancelled. Failures of NATS are said and tried again."""

    def released(self, shard: int) -> None:
        """Its worker has ended (after `GiveUp`, or for good): somebody else may have the lease."""

    def live(self, shards: Collection[int]) -> None:
        """These shards of ours are live now; others give up their next one only then."""

    def drain(self) -> None:
        """Give up every shard, one after the other; new ones are not claimed. Cannot be taken back."""

    @property
    def drained(self) -> bool:
        """Whether a drain has nothing left to give up."""
        return False

    def until(self, shard: int) -> float | None:
        """Return the monotonic moment (s) at which the lease of a shard ends; None: it isn't ours."""

    def may_start(self, shard: int) -> bool:
        """Say whether a worker may be started: its lease lasts for more than half its time."""
        return False

    def snapshot(self) -> Snapshot:
        """Return how the hosts are."""
        raise NotImplementedError

    async def close(self, *, within_s: float) -> None:
        """Delete our leases and our entry: every worker has ended. What isn't answered ends by its TTL."""
