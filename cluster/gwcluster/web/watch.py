"""Looks at the cluster from time to time, and at once when a shard's state changes (does)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from gwcluster.web.history import History
from gwcluster.web.streams import Streams
from gwcluster.web.totals import Totals

STREAM_S: Final = 1.0
"""Between two messages of the stream when nothing changes."""

COUNT_S: Final = 2.0
"""Between two looks when nobody reads the stream: as often as workers tell figures."""

BURST_S: Final = 0.2
"""Changes that come sooner than this after one another are one message: a large start has thousands."""

log = logging.getLogger(__name__)


class Operations(Protocol):
    """What HTTP may do with a cluster; see `gwcluster.operations`."""

    def status(self) -> dict[str, Any]:
        """Return the status document; docs/wire.md describes it."""

    def restart(self, shard: int | None, *, rolling: bool) -> str | None:
        """Restart a shard's worker or all; return why not, None if it was taken."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called when a shard's state changed; return what ends that."""


class Watch:
    """Counts, remembers and publishes what it sees.

    Args:
        operations: where to look.
        streams: where to publish.
    """

    def __init__(self, operations: Operations, streams: Streams) -> None:
        self.totals = Totals()
        self.history = History()
        self._operations = operations
        self._streams = streams
        self._news = asyncio.Event()

    def look(self) -> dict[str, Any]:
        """Return the status document as it is now, and count what is in it."""
        document = self._operations.status()
        self.totals.look(document)
        self.history.look(document)
        return document

    async def run(self) -> None:
        """Look until cancelled."""
        unsubscribe = self._operations.subscribe(self._news.set)
        try:
            while True:
                self._news.clear()
                try:
                    self._streams.publish(self.look())
                except Exception:
                    log.exception("bug: the status could not be told")
                await asyncio.sleep(BURST_S)
                pause_s = STREAM_S if len(self._streams) else COUNT_S
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_s - BURST_S):
                        await self._news.wait()
        finally:
            unsubscribe()
