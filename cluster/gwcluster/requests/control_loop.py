"""From the desk's thread to the control loop and back (does): what bots want sent, and how the cluster is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from typing import Any, Final

from gwcluster.operations import Operations
from gwcluster.supervise.commands import Commands
from gwcluster.wire.control import CommandDone
from gwcluster.wire.requests import Restart, Send

STATUS_S: Final = 0.05
"""Between two looks at how the cluster is, however often that is asked; with many shards one takes time."""


class ControlLoop:
    """The control loop as other threads may use it. Answers come in the loop's thread.

    Args:
        loop: its event loop.
        operations: how the cluster is, and what may be done to it.

    Attributes:
        commands: where payloads are sent from, None until there are shards.
        ids: shards of this cluster, None until they are known.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, operations: Operations) -> None:
        self.commands: Commands | None = None
        self.ids: Container[int] | None = None
        self._loop = loop
        self._operations = operations
        self._look_at = 0.0

    def send(self, ask: Send, answer: Callable[[CommandDone], None]) -> None:
        """Have a payload sent; `answer` is called once."""
        commands = self.commands
        assert commands is not None, "asked only once there are shards"
        self._loop.call_soon_threadsafe(
            lambda: commands.send(
                ask.payload, answer=answer, shard=ask.shard, guild_id=ask.guild_id, ttl_s=ask.ttl_s
            )
        )

    def status(self, answer: Callable[[dict[str, Any]], None]) -> None:
        """Ask how the cluster is; `answer` is called once."""
        self._loop.call_soon_threadsafe(
            lambda: self._loop.call_at(self._look_at, lambda: answer(self._look()))
        )

    def restart(self, ask: Restart, answer: Callable[[str | None], None]) -> None:
        """Have workers restarted; `answer` is called once, with why not or None."""
        self._loop.call_soon_threadsafe(
            lambda: answer(self._operations.restart(ask.shard, rolling=ask.rolling))
        )

    def drain(self, answer: Callable[[str | None], None]) -> None:
        """Have all shards handed to other hosts; `answer` is called once, with why not or None."""
        self._loop.call_soon_threadsafe(lambda: answer(self._operations.drain()))

    def _look(self) -> dict[str, Any]:
        self._look_at = self._loop.time() + STATUS_S
        return self._operations.status()
