"""How much a connection may send (pure): ZeroMQ bounds neither subscriptions nor a message's frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allowance:
    """What connections of one socket may have sent that they hold memory for.

    Attributes:
        each_bytes: one of them.
        total_bytes: all together; of more, those that sent the most are ended.
        per_s_bytes: what is forgiven with time, for what keeps a connection alive.
    """

    each_bytes: int
    total_bytes: int
    per_s_bytes: int

    def beyond(self, sent: Mapping[int, tuple[int, float]]) -> list[int]:
        """Return which connections are to be ended.

        Args:
            sent: of each connection, bytes since nothing was held for it, and seconds since then.
        """
        held = {
            each: max(0, count - int(self.per_s_bytes * seconds)) for each, (count, seconds) in sent.items()
        }
        ended: list[int] = []
        total = sum(held.values())
        for each in sorted(held, key=held.__getitem__, reverse=True):
            if held[each] <= self.each_bytes and total <= self.total_bytes:
                break
            total -= held[each]
            ended.append(each)
        return ended
