"""Who may send IDENTIFY, and when (pure).

Discord takes one IDENTIFY per key (shard % max_concurrency) in 5 s, wants buckets of max_concurrency
consecutive shards started in order, and allows some 1000 a day. Permits are leased: what counts is
when the frame was written, and a permit of which nothing was heard counts as sent at the lease's end.

Sources:
    https://docs.discord.com/developers/events/gateway#rate-limiting
    https://docs.discord.com/developers/events/gateway#sharding-max-concurrency
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gwcluster.discord import IDENTIFY_WINDOW_S
from gwcluster.identify.breaker import PROBE_S, Breaker
from gwcluster.identify.budget import Budget
from gwcluster.identify.forecast import Place, forecast
from gwcluster.identify.windows import Windows

__all__ = ["LEASE_S", "WINDOW_S", "Budget", "Gate", "Grant"]

WINDOW_S: Final = IDENTIFY_WINDOW_S + 0.25
"""Discord's 5 s, and a margin for the way that the frame takes."""

LEASE_S: Final = 20.0

ASK_FLOOR_S: Final = 5.0
"""Least time between two looks at a used-up limit; Discord has been seen saying `reset_after: 0` there."""

ASK_CEILING_S: Final = 900.0
"""Most time between them: our own count of the last 24 h may free some before Discord's reset."""


@dataclass(frozen=True, slots=True)
class Grant:
    """`shard` may send one IDENTIFY until the monotonic moment `lease_until`, and not after it."""

    shard: int
    lease_until: float


@dataclass(frozen=True, slots=True)
class _Lease:
    shard: int
    granted_at: float
    until: float


class Gate:
    """Grants permits to identify; feed it what workers report and `step` it when `due`.

    Order: shards that haven't identified since the gate was made go by id, and a bucket only when no
    such shard of a lower bucket waits or holds a permit. Shards that come again go after those on
    their key, first come first served, and hold nobody else back: one shard that Discord keeps refusing
    must not stop the rest of the cluster.

    Args:
        max_concurrency: number of keys, 1 or more.
        budget: how many may be granted.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
        window_s: least seconds between two IDENTIFYs of one key.
        lease_s: seconds for which a permit holds.
    """

    def __init__(
        self,
        *,
        max_concurrency: int,
        budget: Budget,
        jitter: Callable[[], float],
        window_s: float = WINDOW_S,
        lease_s: float = LEASE_S,
    ) -> None:
        assert max_concurrency >= 1
        self.max_concurrency = max_concurrency
        self.budget = budget
        self.blocked: str | None = None
        """Why nothing is granted although shards may be waiting; said anew only when it changes."""
        self._lease_s = lease_s
        self._windows = Windows(window_s=window_s, jitter=jitter)
        self._breaker = Breaker(total=budget.total)
        self._waiting: dict[int, float] = {}  # shard → when it asked, in that order
        self._leases: dict[int, _Lease] = {}  # by key
        self._tried: set[int] = set()
        self._overdue: set[int] = set()
        self._expected: set[int] = set()
        self._expected_until = float("-inf")
        self._budget_looked_at: float | None = None  # while it is used up

    def expect(self, shards: Iterable[int], until: float) -> None:
        """Let buckets wait for these shards of lower ones as if they had asked, until monotonic `until`.

        Workers start at once and ask in any order; Discord wants them started in the order of their ids.
        """
        self._expected = set(shards)
        self._expected_until = until

    def dismiss(self, shard: int) -> None:
        """`shard` won't ask soon: it resumes, is live, or can't connect."""
        self._expected.discard(shard)

    def ask(self, shard: int, now: float) -> None:
        """`shard` wants to identify; asking twice is asking once."""
        self.dismiss(shard)
        self._overdue.discard(shard)
        self._breaker.again(shard, now)
        self._waiting.setdefault(shard, now)

    def withdraw(self, shard: int, now: float) -> None:
        """`shard` no longer waits. A permit that it holds stays leased until it is reported."""
        del now
        self._waiting.pop(shard, None)

    def used(self, shard: int, now: float, sent_at: float) -> None:
        """The worker wrote IDENTIFY at monotonic `sent_at`; an impossible moment counts as `now`."""
        self._waiting.pop(shard, None)
        lease = self._lease_of(shard)
        if lease is not None:
            self._count(shard, sent_at if lease.granted_at <= sent_at <= now else now)
        elif shard in self._overdue:  # was counted when its lease ended
            self._overdue.discard(shard)
            self._windows.sent(self._key(shard), min(sent_at, now))
        else:  # sent without a permit of ours: it happened, so it counts
            self._count(shard, min(sent_at, now))

    def unused(self, shard: int, now: float) -> None:
        """The permit came back and nothing was written: nothing is spent, the key stays open."""
        del now
        if self._lease_of(shard) is not None:
            del self._leases[self._key(shard)]
        self._overdue.discard(shard)

    def lost(self, shard: int, now: float) -> None:
        """The worker died; whether a permit that it held was used is unknown, so it counts as sent now."""
        self.dismiss(shard)
        self._waiting.pop(shard, None)
        self._overdue.discard(shard)
        if self._lease_of(shard) is not None:
            self._count(shard, now)

    def refused(self, shard: int, now: float) -> None:
        """Op 9 answered an IDENTIFY: somebody else uses the key, so it closes for 5, 10, 20 … 60 s."""
        if self._lease_of(shard) is not None:
            self._count(shard, now)
        self._windows.refused(self._key(shard), now)
        self._breaker.again(shard, now)

    def succeeded(self, shard: int, now: float) -> None:
        """READY answered the IDENTIFY: the key's refusals are forgotten."""
        if self._lease_of(shard) is not None:
            self._count(shard, now)
        self._windows.succeeded(self._key(shard))
        self._breaker.ready(shard, now)

    def refill(self, limits: Budget, now: float) -> None:
        """Discord was asked again, best while nothing was leased; `limits` is made by `Budget.of`."""
        self.budget = self.budget.refilled(limits, now)
        self._budget_looked_at = None
        self._say_whether_blocked(now)

    def restore(self, last_sent: Mapping[int, float]) -> None:
        """Close keys as if an earlier gate had seen an IDENTIFY of each at these monotonic moments."""
        for key, sent_at in last_sent.items():
            self._windows.sent(key, sent_at)

    def step(self, now: float) -> list[Grant]:
        """End leases that are over and return the permits that may leave now."""
        for lease in [lease for lease in self._leases.values() if now >= lease.until]:
            self._count(lease.shard, lease.until)
            self._overdue.add(lease.shard)
        if now >= self._expected_until:
            self._expected.clear()
        self._breaker.settle(now)
        grants: list[Grant] = []
        for shard in self._eligible():
            key = self._key(shard)
            if self._spendable <= 0 or not self._breaker.allows(now):
                break
            if key in self._leases or now < self._windows.opens_at(key):
                continue
            del self._waiting[shard]
            self._leases[key] = _Lease(shard, now, now + self._lease_s)
            self._breaker.granted(now)
            grants.append(Grant(shard, now + self._lease_s))
        self._say_whether_blocked(now)
        return grants

    @property
    def due(self) -> float | None:
        """The next moment at which `step` may have something to do; None: not before another report."""
        moments = [lease.until for lease in self._leases.values()]
        opens = [
            max(self._waiting[shard], self._windows.opens_at(self._key(shard)))
            for shard in self._eligible()
            if self._spendable > 0 and self._key(shard) not in self._leases
        ]
        if opens:
            moments.append(max(min(opens), self._breaker.due or min(opens)))
        elif self._waiting and self._expected:
            moments.append(self._expected_until)
        return min(moments, default=None)

    @property
    def ask_again_at(self) -> float | None:
        """When to ask /gateway/bot again because the budget is used up; None while it isn't."""
        looked_at = self._budget_looked_at
        if looked_at is None:
            return None
        return max(looked_at + ASK_FLOOR_S, min(self.budget.reset_at, looked_at + ASK_CEILING_S))

    @property
    def waiting(self) -> list[int]:
        """Shards that wait for a permit, in the order in which they get it when all keys are open."""
        fresh = sorted(shard for shard in self._waiting if shard not in self._tried)
        return fresh + [shard for shard in self._waiting if shard in self._tried]

    @property
    def leased(self) -> dict[int, float]:
        """Shards that hold a permit, with the moment at which it ends."""
        return {lease.shard: lease.until for lease in self._leases.values()}

    @property
    def overdue(self) -> frozenset[int]:
        """Shards whose permit ended without a report; each counted as one identify."""
        return frozenset(self._overdue)

    def eta(self, shard: int, now: float) -> float:
        """Return about how many seconds `shard` still waits for its permit; 0.0 when it doesn't wait."""
        return self.etas(now).get(shard, 0.0)

    def etas(self, now: float) -> dict[int, float]:
        """Return about how many seconds each waiting shard still waits, if all goes well."""
        pace_s = self._windows.pace_s
        at = forecast(
            [Place(shard, self._key(shard), self._bucket(shard)) for shard in self.waiting],
            opens_at=lambda key: now + pace_s if key in self._leases else self._windows.opens_at(key),
            pace_s=pace_s,
            now=now,
        )
        for shard in list(at)[max(0, self._spendable) :]:
            at[shard] = max(at[shard], self.budget.reset_at)
        return {shard: moment - now for shard, moment in at.items()}

    @property
    def _spendable(self) -> int:
        return self.budget.spendable - len(self._leases)

    def _eligible(self) -> list[int]:
        """Waiting shards that the order of buckets allows, first to be granted first."""
        holders = [lease.shard for lease in self._leases.values()]
        buckets = [self._bucket(shard) for shard in (*self._waiting, *holders, *self._expected)]
        allowed = {None, min((bucket for bucket in buckets if bucket is not None), default=None)}
        return [shard for shard in self.waiting if self._bucket(shard) in allowed]

    def _bucket(self, shard: int) -> int | None:
        """The bucket by which `shard` has to wait its turn; None once it has identified."""
        return None if shard in self._tried else shard // self.max_concurrency

    def _key(self, shard: int) -> int:
        return shard % self.max_concurrency

    def _lease_of(self, shard: int) -> _Lease | None:
        lease = self._leases.get(self._key(shard))
        return lease if lease is not None and lease.shard == shard else None

    def _count(self, shard: int, sent_at: float) -> None:
        if self._lease_of(shard) is not None:
            del self._leases[self._key(shard)]
        self._tried.add(shard)
        self.budget = self.budget.spent()
        self._windows.sent(self._key(shard), sent_at)
        self._breaker.sent(shard, sent_at)

    def _say_whether_blocked(self, now: float) -> None:
        if self.budget.spendable <= 0:
            if self._budget_looked_at is None:
                self._budget_looked_at = now
                self.blocked = (
                    f"{self.budget.remaining} of {self.budget.total} identifies a day are left and "
                    f"{self.budget.reserve} of them kept in reserve: no shard may identify "
                    f"until Discord's reset in {max(0.0, self.budget.reset_at - now):.0f} s"
                )
            return
        self._budget_looked_at = self.blocked = None
        if self._breaker.probe_at is not None:
            self.blocked = (
                f"{self._breaker.limit} identifies of the last 24 h gained no shard that lasted a minute: "
                f"only one try every {PROBE_S:.0f} s until one does"
            )
