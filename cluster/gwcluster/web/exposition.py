"""Writes metrics down in Prometheus' formats (does), in a thread: those of 1,000 shards take a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

FRESH_S: Final = 0.5
"""Scrapes that come sooner than this after another one get the same answer; a flood of them costs one."""


class Exposition:
    """Answers scrapes.

    Args:
        read: returns the metrics' source as it is now, which later, in a thread, gives them.
        clock: monotonic seconds.
    """

    def __init__(
        self, read: Callable[[], Callable[[], Iterable[Metric]]], *, clock: Callable[[], float]
    ) -> None:
        self._read = read
        self._clock = clock
        self._lock = asyncio.Lock()
        self._snapshot = _Snapshot()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._snapshot)
        ProcessCollector(registry=self._registry)
        self._known: dict[str, tuple[float, bytes]] = {}

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return what a scraper that accepts these types gets, and its content type."""
        encode, content_type = choose_encoder(accept)
        async with self._lock:
            made_at, body = self._known.get(content_type, (float("-inf"), b""))
            if self._clock() - made_at >= FRESH_S:
                self._snapshot.source = self._read()
                made_at = self._clock()
                body = await asyncio.to_thread(encode, self._registry)
                self._known[content_type] = made_at, body
        return body, content_type


class _Snapshot(Collector):
    """One status document; it is read once for each scrape."""

    def __init__(self) -> None:
        self.source: Callable[[], Iterable[Metric]] = tuple

    def collect(self) -> Iterable[Metric]:
        return self.source()
