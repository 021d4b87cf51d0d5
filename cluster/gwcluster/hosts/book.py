"""The leases of this host: until when each lasts, and what to ask of the bucket next (pure).

A lease lasts from the *sending* of the last request that is known to have succeeded: the server counts from
when it stored it, which is later. A request that isn't answered may have happened or not; each carries a
number, so that what is found in the bucket afterwards says which one did.

Shares of a lease: renewed after 1/6 of it; its worker leaves when 1/5 is left (`stop_at`), and is said to be
lost, and killed where it is still there, when 1/10 is left; a worker is only started with more than 1/2.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gwcluster.hosts.entries import Mark
from gwcluster.hosts.told import Claimed, GiveUp, Lost, Renewed, Told

RENEW: Final = 1 / 6
"""JetStream takes 4 to 9 s to choose another leader: of the 12 s that a worker of the default lease goes on
for without a renewal, 9.5 s are left at least when the leader is lost."""

RETRY: Final = 1 / 30
STOP: Final = 1 / 5
LOST: Final = 1 / 10
START: Final = 1 / 2


@dataclass(frozen=True, slots=True)
class Found:
    """A lease as it is in the bucket."""

    mark: Mark
    revision: int


@dataclass(frozen=True, slots=True)
class Write:
    """Write `mark` where the bucket has `revision`; 0: create."""

    shard: int
    revision: int
    mark: Mark


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the lease where the bucket has `revision`."""

    shard: int
    revision: int


Request = Write | Delete


class _Phase(enum.Enum):
    HELD = "renewed"
    GIVING = "renewed until its worker has ended"
    LEAVING = "to be deleted"


@dataclass(slots=True)
class _Lease:
    claim: int
    revision: int
    begun_at: float
    next_at: float
    token: int | None = None
    until: float = float("-inf")
    phase: _Phase = _Phase.HELD
    asked: bool = False
    number: int = 0
    sent: dict[int, float] = field(default_factory=dict)  # requests that may have happened, and when

    @property
    def is_kept(self) -> bool:
        """Whether it is ours, and renewed."""
        return self.token is not None and self.phase is not _Phase.LEAVING


class Book:
    """Keeps the leases. Feed it what the bucket answers; perform what `todo` returns, each once.

    Args:
        host, incarnation: this run of this host.
        lease_s: how long a lease lasts.
        tell: hears what became of each shard.
    """

    def __init__(self, *, host: str, incarnation: str, lease_s: float, tell: Callable[[Told], None]) -> None:
        self.lease_s = lease_s
        self._host = host
        self._incarnation = incarnation
        self._tell = tell
        self._leases: dict[int, _Lease] = {}
        self._claims = 0

    def claim(self, shard: int, now: float, *, revision: int = 0) -> None:
        """Want the lease of a shard that is free, or that is ours although we don't know it.

        Args:
            shard: one that isn't in the book.
            now: monotonic seconds.
            revision: of the lease that is there, an earlier incarnation's or one whose write wasn't
                answered; 0: there is none.
        """
        assert shard not in self._leases
        self._claims += 1
        self._leases[shard] = _Lease(self._claims, revision, begun_at=now, next_at=now)

    def give_up(self, shard: int) -> None:
        """Have the worker of a shard ended; the lease is renewed until `released`."""
        lease = self._leases[shard]
        if lease.phase is _Phase.HELD and lease.token is not None:
            lease.phase = _Phase.GIVING
            self._tell(GiveUp(shard))

    def released(self, shard: int, now: float) -> None:
        """The worker of a shard has ended: delete the lease."""
        if (lease := self._leases.get(shard)) is not None:
            lease.phase = _Phase.LEAVING
            lease.next_at = now

    def todo(self, now: float) -> list[Request]:
        """Drop what is over at monotonic `now`; return the requests to send now."""
        requests: list[Request] = []
        for shard, lease in list(self._leases.items()):
            if self._over(shard, lease, now):
                continue
            if lease.asked or now < lease.next_at:
                continue
            lease.asked = True
            if lease.phase is _Phase.LEAVING:
                requests.append(Delete(shard, lease.revision))
                continue
            lease.number += 1
            lease.sent[lease.number] = now
            mark = Mark(self._host, self._incarnation, lease.claim, lease.number)
            requests.append(Write(shard, lease.revision, mark))
        return requests

    def _over(self, shard: int, lease: _Lease, now: float) -> bool:
        if lease.token is None or lease.phase is _Phase.LEAVING:
            ends_at = max(lease.until, lease.begun_at + self.lease_s)
            if now >= ends_at and not lease.asked:  # nobody relies on it; the bucket's TTL ends it
                del self._leases[shard]
                return True
            return False
        if now >= lease.until - LOST * self.lease_s:
            del self._leases[shard]
            self._tell(Lost(shard, f"its lease wasn't renewed for {now - lease.until + self.lease_s:.1f} s"))
            return True
        return False

    def written(self, request: Write, revision: int) -> None:
        """A write has happened."""
        if (lease := self._asked(request)) is not None:
            lease.revision = revision
            self._lasts(request.shard, lease, request.mark.number)

    def deleted(self, request: Delete) -> None:
        """A lease of ours is gone from the bucket."""
        lease = self._leases.get(request.shard)
        if lease is not None and lease.phase is _Phase.LEAVING:
            del self._leases[request.shard]

    def unanswered(self, request: Request, now: float) -> None:
        """Nobody knows what became of a request; it is tried again."""
        if (lease := self._asked(request)) is not None:
            lease.next_at = now + RETRY * self.lease_s

    def refused(self, request: Request, found: Found | None, now: float) -> None:
        """The bucket has another revision than the request took for granted.

        Args:
            request: what was refused.
            found: what the bucket has, read after the refusal; None: nothing.
            now: monotonic seconds.
        """
        if (lease := self._asked(request)) is None:
            return
        if found is not None and self._is_ours(found.mark, lease):
            lease.next_at = now if found.revision != lease.revision else now + RETRY * self.lease_s
            lease.revision = found.revision
            if found.mark.number in lease.sent and lease.phase is not _Phase.LEAVING:
                self._lasts(request.shard, lease, found.mark.number)
            return
        del self._leases[request.shard]
        if lease.is_kept:
            by = "it ended" if found is None else f"host {found.mark.host!r} has it"
            self._tell(Lost(request.shard, f"its lease is gone: {by}"))

    def _asked(self, request: Request) -> _Lease | None:
        """Return the lease that a request was for; None: it has been dropped since, or is another one."""
        lease = self._leases.get(request.shard)
        if lease is None or not lease.asked:
            return None
        if isinstance(request, Write) and request.mark.claim != lease.claim:
            return None
        lease.asked = False
        return lease

    def _is_ours(self, mark: Mark, lease: _Lease) -> bool:
        return mark.incarnation == self._incarnation and mark.claim == lease.claim

    def _lasts(self, shard: int, lease: _Lease, number: int) -> None:
        """The request of this number has happened, so none before it matters any more."""
        sent_at = lease.sent[number]
        lease.sent = {each: at for each, at in lease.sent.items() if each > number}
        lease.until = sent_at + self.lease_s
        if lease.phase is not _Phase.LEAVING:
            lease.next_at = sent_at + RENEW * self.lease_s
        if lease.token is None:
            lease.token = lease.revision
            if lease.phase is not _Phase.LEAVING:
                self._tell(Claimed(shard, lease.token, lease.until))
        elif lease.phase is not _Phase.LEAVING:
            self._tell(Renewed(shard, lease.until))

    @property
    def due(self) -> float | None:
        """The next moment at which `todo` may have something to do."""
        moments: list[float] = []
        for lease in self._leases.values():
            if not lease.asked:
                moments.append(lease.next_at)
            if lease.is_kept:
                moments.append(lease.until - LOST * self.lease_s)
        return min(moments, default=None)

    @property
    def shards(self) -> frozenset[int]:
        """Shards in the book: held, being claimed, or being left."""
        return frozenset(self._leases)

    @property
    def held(self) -> dict[int, float]:
        """Shards whose lease is ours and kept, with the moment at which it ends."""
        return {shard: lease.until for shard, lease in self._leases.items() if lease.is_kept}

    @property
    def giving(self) -> frozenset[int]:
        """Shards that are being given up, the deletion of the lease included."""
        return frozenset(s for s, lease in self._leases.items() if lease.phase is not _Phase.HELD)

    def until(self, shard: int) -> float | None:
        """Return the moment at which the lease of a shard ends; None: the shard isn't ours."""
        lease = self._leases.get(shard)
        return lease.until if lease is not None and lease.is_kept else None

    def stop_at(self, shard: int) -> float | None:
        """Return the moment at which the shard's worker leaves by itself; None: the shard isn't ours."""
        until = self.until(shard)
        return None if until is None else until - STOP * self.lease_s

    def may_start(self, shard: int, now: float) -> bool:
        """Say whether a worker may be started for a shard at monotonic `now`."""
        lease = self._leases.get(shard)
        return (
            lease is not None
            and lease.token is not None
            and lease.phase is _Phase.HELD
            and lease.until - now > START * self.lease_s
        )
