"""Connections to NATS for tests, and conditions that are waited for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import nats as nats_py
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
