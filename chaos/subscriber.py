"""A subscriber that writes down what it gets (does).

Each event is one line, written before the next one is asked for: so the cursor moves only after the note.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable
from zlib import crc32

import gwcluster
from chaos.notes import STARTED, Noted, line_of


def _writer(path: str) -> Callable[[str], None]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(line: str) -> None:
        os.write(fd, line.encode("ascii"))

    return write


def _line(event: gwcluster.Event) -> str:
    return line_of(
        Noted(
            event.name,
            event.shard,
            event.epoch,
            event.offset,
            event.session,
            event.seq,
            crc32(event.payload),
            time.monotonic(),
        )
    )


def _wanted(event: gwcluster.Event) -> bool:
    return event.name != "GWCLUSTER_CLUSTER_STATE"  # has no place in any log


def _linger_s(event: gwcluster.Event) -> float:
    """Return how long the handler goes on after its note: now and then a kill is to come just then."""
    return 0.05 if event.offset % 50 == 0 else 0.0


async def _follow(given: argparse.Namespace, write: Callable[[str], None]) -> None:
    async with gwcluster.connect(given.file, events=given.events, requests=given.requests) as cluster:
        async for event in cluster.subscribe(*given.names, shards=given.shards, cursor=given.cursor):
            if _wanted(event):
                write(_line(event))
                await asyncio.sleep(_linger_s(event))


def _follow_blocking(given: argparse.Namespace, write: Callable[[str], None]) -> None:
    with gwcluster.connect(given.file, events=given.events, requests=given.requests) as cluster:
        for event in cluster.subscribe(*given.names, shards=given.shards, cursor=given.cursor):
            if _wanted(event):
                write(_line(event))
                time.sleep(_linger_s(event))


def main() -> None:
    """Follow until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notes")
    parser.add_argument("cursor")
    parser.add_argument("--file", help="the cluster's; instead of the next two")
    parser.add_argument("--events")
    parser.add_argument("--requests")
    parser.add_argument("--names", type=lambda text: text.split(","), default=[])
    parser.add_argument("--shards", type=lambda text: [int(shard) for shard in text.split(",")])
    parser.add_argument("--blocking", action="store_true")
    given = parser.parse_args()
    write = _writer(given.notes)
    write(f"{STARTED}\n")
    if given.blocking:
        _follow_blocking(given, write)
    else:
        asyncio.run(_follow(given, write))


if __name__ == "__main__":
    main()
