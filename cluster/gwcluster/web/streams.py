"""Who reads `/api/stream` (does): server-sent events, the latest status for each reader and nothing older.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiohttp import web

from gwcluster.web.access import Refusal
from gwcluster.web.answers import HEADERS, encoded, refused
from gwcluster.web.connection import connection_of
from gwcluster.web.limits import Limits

RETRY_MS: Final = 2000
"""After this a browser whose stream broke asks again."""

log = logging.getLogger(__name__)


class Streams:
    """The readers. Each has an event that says there is something new; who is slow misses what came between.

    Args:
        limits: how many there may be, and how slow.

    Attributes:
        slow: readers that were dropped because they didn't read, since the start.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.slow = 0
        self._readers: set[asyncio.Event] = set()
        self._latest = b""
        self._open = True

    def __len__(self) -> int:
        return len(self._readers)

    def publish(self, document: dict[str, Any]) -> None:
        """Send a status document to every reader, if there is any."""
        if self._readers:
            self._latest = b"event: status\ndata: " + encoded(document) + b"\n\n"
            for reader in self._readers:
                reader.set()

    def close(self) -> None:
        """Let every reader go."""
        self._open = False
        for reader in self._readers:
            reader.set()

    async def serve(self, request: web.BaseRequest, document: dict[str, Any]) -> web.StreamResponse:
        """Send this document, and those that are published from now on, until the client leaves."""
        if len(self._readers) >= self._limits.streams or not self._open:
            return refused(
                Refusal(503, "too_many", f"at most {self._limits.streams} may read the stream at once")
            )
        connection = connection_of(request)
        news = asyncio.Event()
        self._readers.add(news)
        response = web.StreamResponse(
            headers={**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        response.force_close()
        try:
            connection.becomes_stream()
            await response.prepare(request)
            message = b"retry: %d\nevent: status\ndata: %b\n\n" % (RETRY_MS, encoded(document))
            while self._open:
                async with asyncio.timeout(self._limits.write_s):
                    await response.write(message)
                await news.wait()
                news.clear()
                message = self._latest
        except TimeoutError:
            self.slow += 1
            log.info("a reader of /api/stream took nothing for %.0f s and is dropped", self._limits.write_s)
            connection.cut()
        except ConnectionError:
            pass  # it left
        finally:
            self._readers.discard(news)
        return response
