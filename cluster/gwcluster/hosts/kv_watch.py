"""Hears what happens in a bucket, across reconnects and changes of leaders (does).

A consumer pushes to us the last entry of each key, and then what follows. Where anything is missing, or its
heartbeats stay away, it is made anew and everything is listed again: so what `Listed` says replaces all that
was said before. What ends by its TTL is not told of by the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from nats import errors as nats_errors
from nats.aio.msg import Msg

from gwcluster.hosts.errors import HostsError
from gwcluster.hosts.kv import Bucket, Entry, heedful

HEARTBEAT_S: Final = 1.0
SILENCE_S: Final = 3.5
AGAIN_S: Final = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """All that there is, with the seconds since each was written."""

    entries: tuple[tuple[Entry, float], ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A key was written or deleted."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Unheard:
    """What was said before may be old news; `Listed` follows once the bucket can be heard again."""

    why: str


Seen = Listed | Changed | Unheard


async def watch(
    bucket: Bucket, hear: Callable[[Seen], None], *, key: str = ">", silence_s: float = SILENCE_S
) -> None:
    """Tell what happens in a bucket until cancelled.

    Args:
        bucket: one that is there, or will be.
        hear: is told; must not block or raise.
        key: the only one to hear of.
        silence_s: without even a heartbeat for so long, everything is begun anew.
    """
    while True:
        inbox = bucket.client.new_inbox()
        why = "it ended"
        try:
            heard: asyncio.Queue[Msg] = asyncio.Queue()  # nothing waits long: `hear` doesn't block

            async def take(message: Msg, into: asyncio.Queue[Msg] = heard) -> None:
                into.put_nowait(message)

            subscription = await heedful(bucket.client.subscribe(inbox, cb=take))
            try:
                await _Watching(bucket, heard, hear, silence_s).run(inbox, key)
            except (HostsError, _AnewError) as error:
                why = str(error)
            finally:
                with contextlib.suppress(nats_errors.Error, OSError):
                    await heedful(subscription.unsubscribe())
        except (nats_errors.Error, OSError) as error:
            why = str(error) or type(error).__name__
        hear(Unheard(f"bucket {bucket.name!r} is listed anew: {why}"))
        await asyncio.sleep(AGAIN_S)


class _AnewError(Exception):
    pass


class _Watching:
    def __init__(
        self, bucket: Bucket, heard: asyncio.Queue[Msg], hear: Callable[[Seen], None], silence_s: float
    ) -> None:
        self._bucket = bucket
        self._heard = heard
        self._hear = hear
        self._silence_s = silence_s
        self._last = 0
        self._prefix = len(f"$KV.{bucket.name}.")
        self._reconnects = self._connections()

    async def run(self, inbox: str, key: str) -> None:
        made = await self._bucket.consume(inbox, key, heartbeat_s=HEARTBEAT_S)
        await self._list(int(made["num_pending"]), _moment(made))
        while True:
            entry, _ = await self._next()
            self._hear(Changed(entry))

    async def _list(self, count: int, server_now: datetime.datetime | None) -> None:
        entries: list[tuple[Entry, float]] = []
        while self._last < count:
            entry, written_at = await self._next()
            age_s = 0.0 if server_now is None else max(0.0, (server_now - written_at).total_seconds())
            if entry.value is not None:
                entries.append((entry, age_s))
        self._hear(Listed(tuple(entries)))

    async def _next(self) -> tuple[Entry, datetime.datetime]:
        while True:
            message = await self._message()
            if (status := (message.headers or {}).get("Status")) is None:
                return self._entry(message)
            if status != "100":
                raise _AnewError(f"the server ended it with status {status}")
            sent = (message.headers or {}).get("Nats-Last-Consumer")
            if sent is not None and int(sent) != self._last:
                raise _AnewError(f"{int(sent) - self._last} messages are missing")

    async def _message(self) -> Msg:
        try:
            async with asyncio.timeout(self._silence_s):
                message = await self._heard.get()
        except TimeoutError:
            raise _AnewError(f"nothing was heard for {self._silence_s:g} s") from None
        if self._connections() != self._reconnects:
            raise _AnewError("the connection to NATS was made anew")
        return message

    def _entry(self, message: Msg) -> tuple[Entry, datetime.datetime]:
        at = message.metadata
        if at.sequence.consumer != self._last + 1:
            raise _AnewError(f"message {at.sequence.consumer} came after {self._last}")
        self._last = at.sequence.consumer
        headers = message.headers or {}
        removed = headers.get("KV-Operation") in {"DEL", "PURGE"} or "Nats-Marker-Reason" in headers
        value = None if removed else message.data
        return Entry(message.subject[self._prefix :], value, at.sequence.stream), at.timestamp

    def _connections(self) -> int:
        return int(self._bucket.client.stats["reconnects"])


def _moment(made: dict[str, Any]) -> datetime.datetime | None:
    """Return the server's own time, by which the age of entries is told."""
    with contextlib.suppress(KeyError, ValueError, TypeError):
        return datetime.datetime.fromisoformat(made["ts"])
    return None
