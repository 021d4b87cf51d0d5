"""Connections to NATS for tests, and conditions that are waited for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import nats as nats_py
from nats import errors as nats_errors
from nats.aio.client import Client


async def _quiet(error: Exception) -> None:
    """What a client says of a connection that a test cuts is no news."""


@contextlib.asynccontextmanager
async def connected(urls: list[str]) -> AsyncIterator[Client]:
    """Connect as long as the block runs, again and again where it breaks."""
    client = await nats_py.connect(
        urls,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        ping_interval=1,
        connect_timeout=2,
        error_cb=_quiet,
    )
    try:
        yield client
    finally:
        await client.close()


async def until(condition: Callable[[], bool], within_s: float = 20.0, what: str = "") -> None:
    """Return once something is so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what or "it never was so"
        await asyncio.sleep(0.01)


class Deaf:
    """A client that doesn't hear the next `drops` answers to what it writes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.drops = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def request(self, subject: str, data: bytes, **more: Any) -> Any:
        answer = await self._client.request(subject, data, **more)
        if self.drops and subject.startswith("$KV."):
            self.drops -= 1
            raise nats_errors.TimeoutError
        return answer
