"""Logs in files and in JetStream, opened, read and left behind in the same way."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from gwcluster.log import FileSessions, LogWriter, Page, Reader, SavedSession, SessionStore
from gwcluster.log.jetstream import reader as jetstream
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.opening import Log, Taking, take_with
from gwcluster.log.jetstream.writer import Writer
from gwcluster.nats_login import NatsLogin
from support.shard_log import AT, new_epoch, open_log

MIB: Final = 1 << 20
_names: Final[Iterator[int]] = itertools.count(1)


class Kept(Protocol):
    """A place for one shard's log."""

    async def open(self, **changed: Any) -> tuple[LogWriter, SessionStore]:
        """Open it, as shard 3 of 16 with plenty of retention."""

    async def killed(self, writer: LogWriter) -> None:
        """Leave it behind as SIGKILL does."""

    async def ended(self, writer: LogWriter) -> None:
        """Leave it behind in order."""

    async def read(self, after: int | None, *names: str, limit: int = 1000, max_bytes: int = MIB) -> Page:
        """Ask for a page."""


class InFiles:
    """A log in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader = Reader(folder)

    async def open(self, **changed: Any) -> tuple[LogWriter, SessionStore]:
        return open_log(self._folder, **changed), FileSessions(self._folder)

    async def killed(self, writer: LogWriter) -> None:
        writer._output._tail.close()  # type: ignore[attr-defined]

    async def ended(self, writer: LogWriter) -> None:
        await writer.finish()
        writer.close()

    async def read(self, after: int | None, *names: str, limit: int = 1000, max_bytes: int = MIB) -> Page:
        return self._reader.read(after, names=frozenset(names) or None, limit=limit, max_bytes=max_bytes)


class InJetStream:
    """A log in a stream of servers that run.

    Args:
        links: makes a connection; default: to the servers.

    Attributes:
        name: of a cluster that nothing else has.
        fenced: what writers were told.
    """

    def __init__(self, urls: list[str], link: Link) -> None:
        self.name = f"t{next(_names)}"
        self.urls = urls
        self.link = link
        self.fenced: list[str] = []
        self._reader = jetstream.Reader(link, self.name, 3)
        self._writers: list[tuple[LogWriter, Link]] = []

    async def take(self, link: Link | None = None, **changed: Any) -> Log:
        """Take the log over, on a connection of its own."""
        arguments: dict[str, Any] = {
            "shard": 3,
            "shards": 16,
            "retention_bytes": 64 << 20,
            "retention_age_s": 3600.0,
        }
        wall = changed.pop("wall", lambda: AT)
        take_s = changed.pop("take_s", 10.0)
        nats = {"name": self.name, "host": "h", "token": 7, "login": {"servers": self.urls}}
        taking = Taking(nats, **(arguments | changed))
        link = link or await Link.connect(NatsLogin(tuple(self.urls)), name="test")
        log = await take_with(
            link,
            taking,
            taking.place(new_epoch()),
            fenced=self.fenced.append,
            new_id=new_epoch,
            clock=time.monotonic,
            wall=wall,
            leave=link.close,
            take_s=take_s,
        )
        self._writers.append((log.writer, link))
        return log

    async def open(self, **changed: Any) -> tuple[Writer, SessionStore]:
        log = await self.take(**changed)
        return log.writer, log.sessions

    async def killed(self, writer: LogWriter) -> None:
        writer.close()
        for each, link in self._writers:
            if each is writer:
                await link.close()

    async def ended(self, writer: LogWriter) -> None:
        await writer.finish()
        await self.killed(writer)

    async def close(self) -> None:
        """Leave nothing running."""
        for writer, link in self._writers:
            writer.close()
            await link.close()

    async def read(self, after: int | None, *names: str, limit: int = 1000, max_bytes: int = MIB) -> Page:
        return await self._reader.read(
            after, names=frozenset(names) or None, limit=limit, max_bytes=max_bytes
        )


@asynccontextmanager
async def in_jetstream(urls: list[str]) -> AsyncIterator[InJetStream]:
    """A place in servers that run, and a connection to read it."""
    link = await Link.connect(NatsLogin(tuple(urls)), name="test")
    kept = InJetStream(urls, link)
    try:
        yield kept
    finally:
        await kept.close()
        await link.close()


async def counted(writer: LogWriter) -> None:
    """Flush, and wait until all of it counts."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    writer.flush(lambda: done.set_result(None))
    async with asyncio.timeout(30.0):
        await done


async def put(writer: LogWriter, *names: str, payload: bytes = b"{}", session: int = 1) -> list[Any]:
    """Append one event for each name, with consecutive seqs, and wait until they count."""
    seq = (writer.seq or 0) + 1
    frames = [
        writer.append(name, payload, session=session, seq=seq + i, at=AT + i) for i, name in enumerate(names)
    ]
    await counted(writer)
    return frames


async def until(what: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(timeout_s):
        while not what():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


def session(number: int, session_id: str = "a" * 32) -> SavedSession:
    """Return a session of shard 3 of 16."""
    return SavedSession(number, session_id, "wss://gateway.example", 3, 16, 513, "0" * 16, 10)
