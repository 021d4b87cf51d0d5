"""Processes that share a cluster's events: each event goes to one of them, and to another if that fails.

python share.py nats://10.0.0.1:4222 --cluster example --shards 4 --group welcome GUILD_MEMBER_ADD
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import nats
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NothingCame
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    RetentionPolicy,
    StreamConfig,
    StreamSource,
    SubjectTransform,
)
from nats.js.errors import NotFoundError

DAY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a shard; `key` is the same when it comes again, and never another event's."""

    name: str
    shard: int
    key: tuple[str, int, int]
    data: Any


Handle = Callable[[Event], Awaitable[None]]


def event_of(message: Msg) -> Event:
    """Read a record of a shard's log."""
    *_, shard, name = message.subject.split(".")
    headers = message.headers or {}
    payload = json.loads(message.data)
    key = headers["Gw-Epoch"], int(shard), int(headers["Gw-Offset"])
    return Event(name, int(shard), key, payload["d"])


async def prepare(
    stream: JetStreamContext,
    cluster: str,
    shards: int,
    group: str,
    names: Sequence[str],
    *,
    patience_s: float = 30.0,
    tries: int = 10,
    replicas: int = 1,
) -> str:
    """Have a stream that copies these events out of all shards' logs, from now on, and its consumer.

    Who comes second finds both there. Shards that are new since then are added.

    Args:
        patience_s: how long a process may take for an event before another gets it, too.
        tries: how often an event is tried.
        replicas: servers that keep the copy; 3 where the logs have 3.

    Raises:
        ValueError: the group has other events; a stream whose filter changes would copy all again.
    """
    name = f"gwcluster-{cluster}-{group}"
    sources = await _sources(stream, name)
    for shard in range(shards):
        log = f"gwcluster-{cluster}-log-{shard}"
        subjects = [f"gwcluster.{cluster}.log.{shard}.{each}" for each in sorted(names)]
        wanted = [SubjectTransform(src=subject, dest=subject) for subject in subjects]
        if log not in sources:
            # Not by time: servers then leave out what comes in the moment until they have begun to copy.
            first = (await stream.stream_info(log)).state.last_seq + 1
            sources[log] = StreamSource(log, opt_start_seq=first, subject_transforms=wanted)
        if sources[log].subject_transforms != wanted:
            raise ValueError(f"group {group} has other events; give these another group")
    await _made(
        stream,
        StreamConfig(
            name=name,
            retention=RetentionPolicy.WORK_QUEUE,  # what is acknowledged is removed
            max_age=DAY_S,  # what nobody has dealt with by then is dropped
            num_replicas=replicas,
            sources=list(sources.values()),
        ),
    )
    await stream.add_consumer(
        name,
        ConsumerConfig(
            durable_name=group,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=patience_s,
            max_deliver=tries,
            max_ack_pending=1_000,
        ),
    )
    return name


async def _sources(stream: JetStreamContext, name: str) -> dict[str, StreamSource]:
    try:
        there = (await stream.stream_info(name)).config.sources
    except NotFoundError:
        return {}
    return {source.name: source for source in there or []}


async def _made(stream: JetStreamContext, config: StreamConfig) -> None:
    try:
        await stream.update_stream(config)
    except NotFoundError:
        await stream.add_stream(config)


async def work(stream: JetStreamContext, name: str, group: str, handle: Handle) -> None:
    """Handle events for ever, one at a time; run more processes for more."""
    pull = await stream.pull_subscribe_bind(group, stream=name)
    try:
        while True:
            try:
                (message,) = await pull.fetch(1, timeout=5.0)
            except NothingCame:
                continue
            try:
                await handle(event_of(message))
            except Exception as error:  # noqa: BLE001 - whatever it is, another try may do better
                print("tried again:", message.subject, error, file=sys.stderr, flush=True)
                await message.nak(delay=1)
            else:
                await message.ack()
    finally:
        await pull.unsubscribe()  # else the next event goes where nobody waits any more


async def show(event: Event) -> None:
    """Put your own work here. It may be given the same event twice."""
    print(event.name, *event.key, flush=True)


async def main() -> None:
    """Read the arguments, and work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("nats")
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--group", required=True, help="processes of one group share the events")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("names", nargs="+", metavar="EVENT")
    given = parser.parse_args()
    client = await nats.connect(given.nats, max_reconnect_attempts=-1)
    stream = client.jetstream()
    name = await prepare(
        stream, given.cluster, given.shards, given.group, given.names, replicas=given.replicas
    )
    await work(stream, name, given.group, show)


if __name__ == "__main__":
    asyncio.run(main())
