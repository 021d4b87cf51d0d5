"""What a line to a nursery tells, for tests that wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from gwcluster.wire.control import Message, StateChanged


class Heard:
    """Everything that a line told, in the order of its coming."""

    def __init__(self) -> None:
        self.workers: dict[int, int] = {}
        self.exits: list[tuple[int, int, int]] = []
        self.ends: list[int] = []
        self.messages: list[tuple[int, Message]] = []

    def forked(self, shard: int, pid: int) -> None:
        self.workers[shard] = pid

    def exited(self, shard: int, pid: int, status: int) -> None:
        self.exits.append((shard, pid, status))

    def nursery_ended(self, status: int) -> None:
        self.ends.append(status)

    def said(self, shard: int, message: Message) -> None:
        self.messages.append((shard, message))

    def is_at_work(self, shard: int) -> bool:
        return any(who == shard and isinstance(what, StateChanged) for who, what in self.messages)


async def until(look: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        await asyncio.sleep(0.01)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
