"""Where a cluster of several hosts lists them (does): a bucket in NATS.

It is looked at while no host is known, or none says a word any more. Whoever has one host hears of the others
from it, so this needs no connection that lasts, and no thread.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any, Final, Protocol

from gwcluster.client.host import MAX_HOSTS, Told, told_by
from gwcluster.errors import WireError

SEARCH_S: Final = 5.0
"""How long one look may take."""

_CONNECT_S: Final = 2
_MAX_ENTRY_BYTES: Final = 1 << 20

_log = logging.getLogger("gwcluster")


class Search(Protocol):
    """Finds the hosts that there are."""

    async def found(self) -> list[Told]:
        """Return them; none, where that can't be known now. Never takes longer than `SEARCH_S`."""


class Login(Protocol):
    """How to get into NATS."""

    @property
    def servers(self) -> Sequence[str]:
        """Their addresses."""

    def options(self) -> dict[str, Any]:
        """Return arguments for `nats.connect`. Raises OSError."""


class NatsSearch:
    """The bucket in which each host of a cluster keeps its entry. Only `found` imports nats-py.

    Args:
        cluster: its name.
        login: where NATS is.
    """

    def __init__(self, cluster: str, login: Login) -> None:
        from gwcluster.log.jetstream.names import bucket  # whoever has one host needs nothing of it

        self._bucket = bucket(cluster, "hosts")
        self._login = login
        self._bad = 0

    async def found(self) -> list[Told]:
        """Return the hosts in the bucket; none, and a line in the log, if it can't be read."""
        import nats.errors

        try:
            async with asyncio.timeout(SEARCH_S):
                entries = await self._entries()
        except (OSError, TimeoutError, nats.errors.Error) as error:
            self._complain(f"can't read {self._bucket} at {', '.join(self._login.servers)}: {_said(error)}")
            return []
        told = []
        for name, value in entries:
            try:
                told.append(told_by(json.loads(value)))
            except (WireError, ValueError, RecursionError) as error:
                self._complain(f"{self._bucket} has an entry {name} that can't be used: {error}")
        return told

    async def _entries(self) -> list[tuple[str, bytes]]:
        from nats.aio.client import Client

        async def quiet(_: Exception) -> None:
            """What matters comes as an exception, too."""

        client = Client()
        try:
            await client.connect(
                **self._login.options(),
                allow_reconnect=False,
                connect_timeout=_CONNECT_S,
                max_reconnect_attempts=1,  # else it tries a server that is away sixty times
                reconnect_time_wait=0,
                error_cb=quiet,
                name="gwcluster client",
            )
            bucket = await client.jetstream(timeout=_CONNECT_S).key_value(self._bucket)
            watcher = await bucket.watchall(ignore_deletes=True)
            entries: list[tuple[str, bytes]] = []
            async for entry in watcher:
                if entry is None or len(entries) == MAX_HOSTS:  # None: that was all
                    break
                if entry.value is not None and len(entry.value) <= _MAX_ENTRY_BYTES:
                    entries.append((entry.key, entry.value))
            await watcher.stop()  # type: ignore[no-untyped-call]
            return entries
        finally:
            await client.close()

    def _complain(self, what: str) -> None:
        self._bad += 1
        if self._bad & (self._bad - 1) == 0:  # the 1st, 2nd, 4th, 8th …
            _log.warning("%s; hosts that are known go on being used", what)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
