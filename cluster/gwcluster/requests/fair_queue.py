"""Who is served next (pure): every client in turn, however much one of them asks."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """What clients wait for, in the order of each client's own, and round robin between clients.

    Args:
        per_client: how much one of them may have waiting; less as it gets full, so that those who ask much
            leave room for those who ask little.
        total: how much may wait in all.
    """

    def __init__(self, *, per_client: int, total: int) -> None:
        self._per_client = per_client
        self._total = total
        self._waiting: OrderedDict[bytes, deque[T]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, client: bytes, item: T) -> bool:
        """Let `item` wait; False: there is no room for it."""
        room = self._total - self._count
        share = min(self._per_client, max(1, 2 * self._per_client * room // self._total))
        if not room or len(self._waiting.get(client, ())) >= share:
            return False
        self._waiting.setdefault(client, deque()).append(item)
        self._count += 1
        return True

    def take(self, may: Callable[[bytes], bool]) -> tuple[bytes, T] | None:
        """Return the client whose turn it is, and what it waits for; None if nobody's is.

        Args:
            may: says whether a client may be served at all now; one that may not keeps its turn.
        """
        client = next((client for client in self._waiting if may(client)), None)
        if client is None:
            return None
        items = self._waiting[client]
        item = items.popleft()
        self._count -= 1
        if items:
            self._waiting.move_to_end(client)
        else:
            del self._waiting[client]
        return client, item

    def drain(self) -> Iterator[T]:
        """Take all that waits, turn by turn; whoever is forgotten meanwhile is left out."""
        while (taken := self.take(lambda _: True)) is not None:
            yield taken[1]

    def forget(self, client: bytes) -> None:
        """A client is gone, and wants nothing any more."""
        self._count -= len(self._waiting.pop(client, ()))
