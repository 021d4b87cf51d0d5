"""Decides (pure): what was sent beside what came: what is lost, and how long each event took.

All connections are sent the same events, so a program that can't tell the shard of an event is judged by how
often each sequence number came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

NO_SHARD: Final = 0xFFFF
"""What stands for the shard where a program doesn't tell it."""


@dataclass(slots=True)
class Sent:
    """Bursts: a shard, the first of some consecutive sequence numbers, how many, and when the send began."""

    bursts: list[tuple[int, int, int, int]] = field(default_factory=list)

    def events(self) -> Iterable[tuple[int, int, int]]:
        """Yield shard, sequence number and nanoseconds of each event."""
        for shard, first, count, at in self.bursts:
            for seq in range(first, first + count):
                yield shard, seq, at

    def __len__(self) -> int:
        return sum(count for _, _, count, _ in self.bursts)


@dataclass(slots=True)
class Received:
    """Columns: shard, sequence number, and when it had come."""

    shards: list[int] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Account:
    """How the two differ."""

    sent: int
    lost: int
    twice: int
    """Came again, or was never sent."""

    def problems(self) -> list[str]:
        """Say what is wrong, for people; nothing if every event came once."""
        found = []
        if self.lost:
            found.append(f"lost {self.lost:,} of {self.sent:,} events")
        if self.twice:
            found.append(f"{self.twice:,} events came again")
        return found


def account(sent: Sent, received: Received) -> Account:
    """Compare what was sent with what came."""
    told = NO_SHARD not in received.shards
    want = Counter((shard if told else NO_SHARD, seq) for shard, seq, _ in sent.events())
    got = Counter(zip(received.shards, received.seqs, strict=True))
    return Account(len(sent), (want - got).total(), (got - want).total())


def latencies(sent: Sent, received: Received) -> list[float]:
    """Return the seconds from send to receipt, in the order of receipt.

    Of a number that came several times the first receipt counts, and what was never sent is left out.

    Raises:
        ValueError: several shards were sent to, and what came doesn't say from which.
    """
    shards = {shard for shard, _, _, _ in sent.bursts}
    only = next(iter(shards)) if len(shards) == 1 else None
    if only is None and NO_SHARD in received.shards:
        raise ValueError("the program doesn't tell shards apart")
    began = {(shard, seq): at for shard, seq, at in sent.events()}
    found = []
    for shard, seq, at in zip(received.shards, received.seqs, received.times, strict=True):
        start = began.pop((only if only is not None and shard == NO_SHARD else shard, seq), None)
        if start is not None:
            found.append((at - start) / 1e9)
    return found


BEHIND_S: Final = 0.5
"""Who is so far behind at the end doesn't take the rate, however far behind it was at the beginning."""


def grew(times: list[float], least_s: float = 0.02) -> bool:
    """Say whether latencies, in order, grew: the last quarter's median is twice the first's, no trifle.

    Or it is that of somebody who was hopelessly behind before the first quarter was over.
    """
    quarter = max(len(times) // 4, 1)
    first, last = sorted(times[:quarter]), sorted(times[-quarter:])
    median = last[len(last) // 2]
    return median > max(2 * first[len(first) // 2], least_s) or median > BEHIND_S
