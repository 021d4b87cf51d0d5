"""Who may send IDENTIFY, and when (pure).

Discord takes one IDENTIFY per key (shard % max_concurrency) in 5 s, wants buckets of max_concurrency
consecutive shards started in order, and allows some 1000 a day. Permits are leased: what counts is
when the frame was written, and a permit of which nothing was heard counts as sent at the lease's end.

Sources:
    https://docs.discord.com/developers/events/gateway#rate-limiting
    https://docs.discord.com/developers/events/gateway#sharding-max-concurrency
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gwcluster.discord import IDENTIFY_WINDOW_S
from gwcluster.identify.budget import UNKNOWN, Budget
from gwcluster.identify.caution import Caution, Past
from gwcluster.identify.forecast import Place, forecast
from gwcluster.identify.hindrance import Hindrance
from gwcluster.identify.turns import Turns
from gwcluster.identify.windows import Windows

__all__ = ["LEASE_S", "UNKNOWN", "WINDOW_S", "Budget", "Gate", "Grant", "Past"]

WINDOW_S: Final = IDENTIFY_WINDOW_S + 0.25
"""Discord's 5 s, and a margin for the way that the frame takes."""

LEASE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Grant:
    """`shard` may send one IDENTIFY until the monotonic moment `lease_until`, and not after it."""

    shard: int
    lease_until: float


@dataclass(frozen=True, slots=True)
class _Lease:
    granted_at: float
    until: float


class Gate:
    """Grants permits to identify; feed it what workers report and `step` it when `due`.

    `Turns` has the order, `Windows` the 5 s of each key, `Budget` the day's limit, and `Caution` slows
    down what bears nothing. With a budget of `UNKNOWN` it grants nothing until `refill` tells the limits.

    Args:
        max_concurrency: number of keys, 1 or more.
        budget: how many may be granted.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
    """

    def __init__(self, *, max_concurrency: int, budget: Budget, jitter: Callable[[], float]) -> None:
        assert max_concurrency >= 1
        self.budget = budget
        self._turns = Turns(max_concurrency)
        self._windows = Windows(window_s=WINDOW_S, jitter=jitter)
        self._caution = Caution(total=budget.total, jitter=jitter)
        self._hindrance = Hindrance()
        self._leases: dict[int, _Lease] = {}
        self._overdue: set[int] = set()
        self._stepped_at = float("-inf")
        self._held: Collection[int] | None = None

    @property
    def max_concurrency(self) -> int:
        """Number of keys."""
        return self._turns.max_concurrency

    def expect(self, shards: Iterable[int], until: float) -> None:
        """Let buckets wait for these shards as if they had asked, until monotonic `until`."""
        self._turns.expect(shards, until)

    def dismiss(self, shard: int) -> None:
        """`shard` won't ask soon: it resumes, is live, or can't connect."""
        self._turns.dismiss(shard)

    def ask(self, shard: int, now: float) -> None:
        """`shard` wants to identify; asking twice is asking once."""
        self._overdue.discard(shard)
        self._caution.again(shard, now, self.budget.spendable)
        self._turns.ask(shard, now)

    def withdraw(self, shard: int, now: float) -> None:
        """`shard` no longer waits. A permit that it holds stays leased until it is reported."""
        del now
        self._turns.leave(shard)

    def used(self, shard: int, now: float, sent_at: float) -> None:
        """The worker wrote IDENTIFY at monotonic `sent_at`; an impossible moment counts as `now`."""
        self._turns.leave(shard)
        lease = self._leases.get(shard)
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
        self._leases.pop(shard, None)
        self._overdue.discard(shard)

    def lost(self, shard: int, now: float) -> None:
        """The worker died; whether a permit that it held was used is unknown, so it counts as sent now."""
        self._turns.dismiss(shard)
        self._turns.leave(shard)
        self._overdue.discard(shard)
        if shard in self._leases:
            self._count(shard, now)
        self._caution.left(shard, now)

    def left(self, shard: int, now: float) -> None:
        """`shard` lost its connection, though not yet its session."""
        self._caution.left(shard, now)

    def resumed(self, shard: int, now: float) -> None:
        """`shard` has its session again."""
        self._caution.ready(shard, now)

    def refused(self, shard: int, now: float) -> None:
        """Op 9 answered an IDENTIFY: somebody else uses the key, so it closes for 5, 10, 20 … 60 s."""
        if shard in self._leases:
            self._count(shard, now)
        self._windows.refused(self._key(shard), now)
        self._caution.again(shard, now, self.budget.spendable)

    def closed(self, shard: int, now: float) -> tuple[int, float]:
        """Return the key of `shard`, and for how many seconds more it stays closed."""
        key = self._key(shard)
        return key, max(0.0, self._windows.opens_at(key) - now)

    def succeeded(self, shard: int, now: float) -> None:
        """READY answered the IDENTIFY: the key's refusals are forgotten."""
        if shard in self._leases:
            self._count(shard, now)
        self._windows.succeeded(self._key(shard))
        self._caution.ready(shard, now)

    def refill(self, limits: Budget, now: float, *, max_concurrency: int | None = None) -> None:
        """Discord was asked (again), best while nothing was leased; `limits` is made by `Budget.of`."""
        if max_concurrency is not None and max_concurrency != self.max_concurrency:
            self._turns.max_concurrency = max_concurrency
            self._windows.rekey()
        self.budget = self.budget.refilled(limits, now)
        self._caution.breaker.allow(self.budget.total)
        self._hindrance.asked()
        self._hindrance.look(self.budget, self._caution, now)

    def others_spent(self, count: int) -> None:
        """Other hosts took so many permits; before Discord was asked, its answer will count them."""
        if self.budget is not UNKNOWN:
            self.budget = self.budget.spent(count)

    def restore(self, last_sent: Mapping[int, float]) -> None:
        """Close keys as if an earlier gate had seen an IDENTIFY of each at these monotonic moments."""
        for key, sent_at in last_sent.items():
            self._windows.sent(key, sent_at)

    def remember(self, past: Iterable[Past]) -> None:
        """Be as cautious as if this gate had granted these, in this order; tell the limits first."""
        self._caution.remember(past, self.budget.spendable)

    def step(self, now: float, *, keys: Mapping[int, float] | None = None) -> list[Grant]:
        """End leases that are over and return the permits that may leave now.

        Args:
            now: monotonic seconds.
            keys: those that no other host identifies on, each with the moment until which a permit of it may
                be used; None: there is no other host.
        """
        self._stepped_at, self._held = now, keys
        for shard, lease in list(self._leases.items()):
            if now >= lease.until:
                self._count(shard, lease.until)
                self._overdue.add(shard)
        self._turns.settle(now)
        self._caution.settle(self._turns.waiting, now, self.budget.spendable)
        busy = self.busy_keys
        grants: list[Grant] = []
        for shard in self._turns.eligible(self._leases):
            if self._spendable <= 0 or not self._caution.allows(now):
                break
            if now < self._opens_at(shard) or self._key(shard) in busy:
                continue
            until = now + LEASE_S if keys is None else min(now + LEASE_S, keys.get(self._key(shard), now))
            if until <= now:
                continue
            self._turns.leave(shard)
            self._leases[shard] = _Lease(now, until)
            busy.add(self._key(shard))
            self._caution.granted(shard, now)
            grants.append(Grant(shard, until))
        self._hindrance.look(self.budget, self._caution, now)
        return grants

    @property
    def due(self) -> float | None:
        """The next moment at which `step` may have something to do; None: not before another report."""
        moments = [lease.until for lease in self._leases.values()]
        busy = self.busy_keys
        opens = [
            opens_at
            for shard in self._turns.eligible(self._leases)
            if self._spendable > 0 and self._key(shard) not in busy
            if self._may_open(shard, opens_at := max(self._turns.asked_at(shard), self._opens_at(shard)))
        ]
        if opens:
            moments.append(max(min(opens), self._caution.due or min(opens)))
        elif self._turns.waiting and self._turns.expected_until is not None:
            moments.append(self._turns.expected_until)
        return min(moments, default=None)

    def wanted_keys(self, now: float) -> dict[int, int]:
        """Return the keys of which a permit would leave now if they were held, each with the shard for it."""
        wanted: dict[int, int] = {}
        if not self._caution.allows(now):
            return wanted
        busy = self.busy_keys
        for shard in self._turns.eligible(self._leases):
            key = self._key(shard)
            if len(wanted) < self._spendable and key not in busy and now >= self._opens_at(shard):
                wanted.setdefault(key, shard)
        return wanted

    @property
    def busy_keys(self) -> set[int]:
        """Keys of which a permit is out."""
        return {self._key(shard) for shard in self._leases}

    def key_opens_at(self, key: int) -> float:
        """Return the monotonic moment from which a key may be identified on; -inf if it always might."""
        return self._windows.opens_at(key)

    @property
    def ask_again_at(self) -> float | None:
        """When to ask /gateway/bot again because the budget is used up; None while it isn't."""
        return self._hindrance.ask_again_at

    @property
    def blocked(self) -> str | None:
        """Why permits wait although keys are open; said anew only when the reason changes."""
        return self._hindrance.text

    @property
    def waiting(self) -> list[int]:
        """Shards that wait for a permit, in the order in which they get it when all keys are open."""
        return self._turns.waiting

    @property
    def leased(self) -> dict[int, float]:
        """Shards that hold a permit, with the moment at which it ends."""
        return {shard: lease.until for shard, lease in self._leases.items()}

    @property
    def overdue(self) -> frozenset[int]:
        """Shards whose permit ended without a report; each counted as one identify."""
        return frozenset(self._overdue)

    def etas(self, now: float) -> dict[int, float]:
        """Return about how many seconds each waiting shard still waits, if all goes well."""
        pace_s, busy = self._windows.pace_s, self.busy_keys
        at = forecast(
            [Place(shard, self._key(shard), self._turns.bucket(shard)) for shard in self.waiting],
            opens_at=lambda key: now + pace_s if key in busy else self._windows.opens_at(key),
            pace_s=pace_s,
            now=now,
            spendable=max(0, self._spendable),
            reset_at=self.budget.reset_at,
        )
        return {shard: moment - now for shard, moment in at.items()}

    @property
    def _spendable(self) -> int:
        return self.budget.spendable - len(self._leases)

    def _may_open(self, shard: int, opens_at: float) -> bool:
        """Whether the shard's moment matters: one that has come waits for its key, of which we'll be told."""
        return self._held is None or self._key(shard) in self._held or opens_at > self._stepped_at

    def _key(self, shard: int) -> int:
        return shard % self.max_concurrency

    def _opens_at(self, shard: int) -> float:
        return max(self._windows.opens_at(self._key(shard)), self._caution.opens_at(shard))

    def _count(self, shard: int, sent_at: float) -> None:
        self._leases.pop(shard, None)
        self._turns.tried(shard)
        self.budget = self.budget.spent()
        self._windows.sent(self._key(shard), sent_at)
        self._caution.sent(shard, sent_at)
