"""Answers that wait for clients who don't take them (pure): in order, and no more than there is room for."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

_OVERHEAD_BYTES: Final = 200
"""What an answer costs beside its bytes."""

Message = list[bytes]


@dataclass(slots=True)
class _Waiting:
    messages: deque[Message] = field(default_factory=deque)
    size: int = 0


class Outbox:
    """What could not be sent yet.

    Where there is no room, whoever has taken nothing for the longest loses all that waits for it. Clients
    that read take something again and again, so they lose nothing to those that don't.

    Args:
        per_client_bytes: how much may wait for one client. One answer may wait whatever its size.
        total_bytes: how much may wait in all.

    Attributes:
        dropped: answers for which there was no room.
    """

    def __init__(self, *, per_client_bytes: int, total_bytes: int) -> None:
        self._per_client_bytes = per_client_bytes
        self._total_bytes = total_bytes
        self._waiting: OrderedDict[bytes, _Waiting] = OrderedDict()  # who took something last comes last
        self._size = 0
        self.dropped = 0

    @property
    def clients(self) -> list[bytes]:
        """Those for whom something waits."""
        return list(self._waiting)

    def has(self, client: bytes) -> bool:
        """Say whether something waits for a client; whatever comes then has to wait behind it."""
        return client in self._waiting

    def put(self, client: bytes, message: Message) -> bool:
        """Let an answer wait; False: this one, or what waited for others, is dropped."""
        size = _size(message)
        dropped = self.dropped
        if not self._has_room(client, size):
            self.dropped += 1
            return False
        waiting = self._waiting.setdefault(client, _Waiting())
        waiting.messages.append(message)
        waiting.size += size
        self._size += size
        return self.dropped == dropped

    def _has_room(self, client: bytes, size: int) -> bool:
        """Say whether there is room for an answer, or make some."""
        waiting = self._waiting.get(client)
        if waiting is not None and waiting.size + size > self._per_client_bytes:
            return False
        if size > self._total_bytes:
            return not self._waiting
        while self._size + size > self._total_bytes:
            longest = next(iter(self._waiting))
            if longest == client:
                return False
            self.dropped += len(self._waiting[longest].messages)
            self.forget(longest)
        return True

    def first(self, client: bytes) -> Message | None:
        """Return what is to be sent to a client next, None if nothing waits."""
        waiting = self._waiting.get(client)
        return None if waiting is None else waiting.messages[0]

    def sent(self, client: bytes) -> None:
        """The first answer is out."""
        waiting = self._waiting[client]
        size = _size(waiting.messages.popleft())
        waiting.size -= size
        self._size -= size
        if waiting.messages:
            self._waiting.move_to_end(client)
        else:
            del self._waiting[client]

    def forget(self, client: bytes) -> None:
        """A client is gone, and takes nothing any more."""
        if (waiting := self._waiting.pop(client, None)) is not None:
            self._size -= waiting.size


def _size(message: Message) -> int:
    return _OVERHEAD_BYTES + sum(map(len, message))
