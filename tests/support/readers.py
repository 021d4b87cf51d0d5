"""Reads subscriptions, of whichever kind, one event after the other (does)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from gwcluster.client import BlockingSubscription, Connection, Event, Subscription
from gwcluster.log import Writer
from support.cluster import until

SECONDS = 20.0
"""Until what must come has come; never waited for when all is well."""

QUIET_S = 0.15


class Publishing(Protocol):
    """A cluster that publishes what a test tells it to."""

    @property
    def writers(self) -> Sequence[Writer]:
        """The shards' logs."""

    def publish(self, *names: str, shard: int = 0) -> list[int]:
        """Append and publish one event of each name; return their offsets."""


class Reader(Protocol):
    """A subscription as these tests read it, whichever kind it is."""

    def next(self, seconds: float = SECONDS) -> Event | None:
        """Return the next event, None if there is none in time."""

    def close(self) -> None:
        """Close the subscription."""


class Kind(Protocol):
    """Opens subscriptions of one kind."""

    def subscribe(self, *names: str, **given: Any) -> Reader:
        """Subscribe; all are closed at the end."""


class _Blocking:
    def __init__(self, subscription: BlockingSubscription) -> None:
        self._subscription = subscription
        self.close = subscription.close

    def next(self, seconds: float = SECONDS) -> Event | None:
        return self._subscription.poll(seconds)


class _Aio:
    """Between two calls the loop stands still, as it does while a handler computes."""

    def __init__(self, runner: asyncio.Runner, subscription: Subscription) -> None:
        self._runner = runner
        self._subscription = subscription
        self.close = subscription.close

    def next(self, seconds: float = SECONDS) -> Event | None:
        async def come() -> Event | None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await anext(self._subscription)
            return None

        return self._runner.run(come())


@contextlib.contextmanager
def connected(which: str, connect: Callable[[], Connection]) -> Iterator[Kind]:
    """Connect, one way or the other."""
    if which == "blocking":
        with connect() as cluster:

            class Plain:
                def subscribe(self, *names: str, **given: Any) -> Reader:
                    return _Blocking(cluster.subscribe(*names, **given))

            yield Plain()
        return
    with asyncio.Runner() as runner:
        connection = connect()
        asynchronous = runner.run(connection.__aenter__())

        class Aio:
            def subscribe(self, *names: str, **given: Any) -> Reader:
                async def subscribed() -> Subscription:
                    return asynchronous.subscribe(*names, **given)

                return _Aio(runner, runner.run(subscribed()))

        yield Aio()
        runner.run(connection.__aexit__(None, None, None))


def settled(small: Publishing, kind: Kind, *names: str, shard: int = 0, **given: Any) -> Reader:
    """Subscribe and return when events arrive: what is published from now on is expected to come."""
    reader = kind.subscribe(*names, **given)
    mark = "GWCLUSTER_SHARD_STATE"

    def heard() -> bool:
        small.publish(mark, shard=shard)
        return reader.next(0.05) is not None

    until(heard, "a first event")
    end = small.writers[shard].next_offset
    small.publish(mark, shard=shard)
    while (event := reader.next()) is not None and event.offset < end:
        pass
    return reader


def offsets(reader: Reader, count: int) -> list[tuple[str, int]]:
    """Return name and offset of the next `count` events."""
    found = [reader.next() for _ in range(count)]
    return [(event.name, event.offset) for event in found if event is not None]
