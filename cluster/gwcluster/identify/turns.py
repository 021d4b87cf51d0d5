"""Who waits for a permit, and whose turn it is (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class Turns:
    """Shards that haven't identified since the start go by id, those that come again go after them.

    Of the former, a bucket of max_concurrency consecutive ids goes only when no such shard of a lower
    bucket waits, holds a permit or is expected. The latter go first come, first served, and hold nobody
    else back: one shard that Discord keeps refusing must not stop the rest of the cluster.

    Args:
        max_concurrency: number of keys, 1 or more.
    """

    def __init__(self, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency
        self._waiting: dict[int, float] = {}  # shard → when it asked, in that order
        self._tried: set[int] = set()
        self._expected: set[int] = set()
        self._expected_until = float("-inf")

    def expect(self, shards: Iterable[int], until: float) -> None:
        """Let buckets wait for these shards of lower ones as if they had asked, until monotonic `until`.

        Workers start at once and ask in any order; Discord wants them started in the order of their ids.
        """
        self._expected = set(shards)
        self._expected_until = until

    def dismiss(self, shard: int) -> None:
        """`shard` won't ask soon."""
        self._expected.discard(shard)

    def ask(self, shard: int, now: float) -> None:
        """`shard` wants to identify; asking twice is asking once."""
        self.dismiss(shard)
        self._waiting.setdefault(shard, now)

    def leave(self, shard: int) -> None:
        """`shard` no longer waits."""
        self._waiting.pop(shard, None)

    def tried(self, shard: int) -> None:
        """`shard` has identified: from now on it waits for no bucket, and none waits for it."""
        self._tried.add(shard)

    def settle(self, now: float) -> None:
        """Stop expecting those that took too long."""
        if now >= self._expected_until:
            self._expected.clear()

    def eligible(self, holders: Collection[int]) -> list[int]:
        """Return the waiting shards that the order of buckets allows, first to be granted first.

        Args:
            holders: shards that hold a permit.
        """
        buckets = [self.bucket(shard) for shard in (*self._waiting, *holders, *self._expected)]
        allowed = {None, min((bucket for bucket in buckets if bucket is not None), default=None)}
        return [shard for shard in self.waiting if self.bucket(shard) in allowed]

    def bucket(self, shard: int) -> int | None:
        """The bucket by which `shard` has to wait its turn; None once it has identified."""
        return None if shard in self._tried else shard // self.max_concurrency

    def asked_at(self, shard: int) -> float:
        """The moment since which a waiting shard waits."""
        return self._waiting[shard]

    @property
    def waiting(self) -> list[int]:
        """Shards that wait, in the order in which they get a permit when all keys are open."""
        fresh = sorted(shard for shard in self._waiting if shard not in self._tried)
        return fresh + [shard for shard in self._waiting if shard in self._tried]

    @property
    def expected_until(self) -> float | None:
        """Until when shards that have not asked are waited for; None when there are none."""
        return self._expected_until if self._expected else None
