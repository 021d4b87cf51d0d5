"""Whether the last words of workers that stopped have reached subscribers (does)."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gwcluster.wire.notices import ShardState

FAREWELL_S: Final = 1.0
"""How long the last words of a worker may take through the fan-in."""

log = logging.getLogger(__name__)


class Farewells:
    """Compares who stopped in an orderly way with who was heard saying so at the subscribers' end."""

    def __init__(self) -> None:
        self._said: set[int] = set()
        self._published: set[int] = set()
        self._news = asyncio.Event()

    def said(self, shard: int) -> None:
        """The shard's worker stopped, and its last notice says so."""
        self._said.add(shard)

    def published(self, shard: int, state: str) -> None:
        """A shard's state came out of the fan-in."""
        if state == ShardState.STOPPED:
            self._published.add(shard)
            self._news.set()

    async def heard(self) -> None:
        """Return when all that was said has been published, or has taken too long."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                while not self._said <= self._published:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            log.warning(
                "the last events of %d shards may not have reached subscribers; they are in the log",
                len(self._said - self._published),
            )
