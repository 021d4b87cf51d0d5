"""A cluster for scripts without asyncio (does): the same, but each call waits.

Where no host is known any more, a call that waits anyway looks for them, in an event loop that ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import zmq

from gwcluster.client.addresses import Addresses
from gwcluster.client.blocking_requests import Requests, Watch
from gwcluster.client.event import Event
from gwcluster.client.feed import Feed
from gwcluster.client.keys import Curve
from gwcluster.client.refused import (
    ANSWER_S,
    SEND_S,
    command_fields,
    drained,
    one_host,
    restart_fields,
    restarted,
    sent,
    status_in,
)
from gwcluster.client.roster import Roster
from gwcluster.client.sockets import Socket
from gwcluster.client.topics import Wanted


class BlockingSubscription(Iterator[Event]):
    """Events of a cluster, one after the other, until it is closed; what `BlockingCluster.subscribe` returns.

    Nothing is read while the caller works, and nothing is lost by it: what the publisher drops is fetched.
    """

    def __init__(
        self,
        context: zmq.Context[Socket],
        curve: Curve | None,
        wanted: Wanted,
        cursor: Path | None,
        *,
        roster: Roster,
        seek: Callable[[float | None], None],
    ) -> None:
        self._watch = Watch()
        self._seek = seek
        self._feed = Feed(
            context,
            curve,
            wanted,
            cursor,
            roster=roster,
            watch=self._watch,
            wall=time.time,
            clock=time.monotonic,
        )
        self._following, self._line = self._feed.following, self._feed.line
        self._closed = False

    def __iter__(self) -> BlockingSubscription:
        """Return itself."""
        return self

    def __next__(self) -> Event:
        """Note that the event before is done, and return the next one as soon as there is one.

        Raises:
            FollowError: the cluster refuses the subscription; correct it.
            KeyRefused: the cluster doesn't let this program in.
            WireVersionError: the cluster is newer than this library; upgrade it.
            CursorError: the cursor can't be written; nothing was noted.
        """
        event = self.poll(None)
        if event is None:
            raise StopIteration
        return event

    def poll(self, seconds: float | None) -> Event | None:
        """Like `next`, but return None if nothing comes within so many seconds (None: wait for ever)."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._closed:
            event = self._following.next()
            if event is not None:
                return event
            if self._line.pump() or self._following.waiting:
                continue
            left_s = None if until is None else until - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            self._seek(left_s)
            self._watch.wait(self._line.wait_s if left_s is None else min(self._line.wait_s, left_s))
        return None

    def close(self) -> None:
        """Stop: the event that was handed out last counts as not done, unless another was asked for."""
        if self._closed:
            return
        self._closed = True
        self._feed.close()


class BlockingCluster:
    """A cluster that one is connected with; `with gwcluster.connect(…)` gives it. One thread may use it."""

    def __init__(self, addresses: Addresses) -> None:
        self._search = addresses.search
        self._curve = addresses.curve
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._roster = Roster(
            addresses.hosts, several=addresses.search is not None, alone=addresses.alone, now=time.monotonic()
        )
        self._requests = Requests(self._context, addresses.curve, self._roster, self._seek)
        self._subscriptions: list[BlockingSubscription] = []

    def subscribe(
        self,
        *names: str,
        shards: Iterable[int] | None = None,
        cursor: str | os.PathLike[str] | None = None,
    ) -> BlockingSubscription:
        """Return the events of these names, to be iterated over with `for`; see `aio.Cluster.subscribe`."""
        wanted = Wanted(names, shards)
        path = None if cursor is None else Path(cursor)
        subscription = BlockingSubscription(
            self._context, self._curve, wanted, path, roster=self._roster, seek=self._seek
        )
        self._subscriptions.append(subscription)
        return subscription

    def send(
        self,
        payload: dict[str, Any],
        *,
        shard: int | None = None,
        guild_id: int | str | None = None,
        ttl_s: float | None = None,
    ) -> None:
        """Have a gateway command sent to Discord; see `aio.Cluster.send`."""
        fields = command_fields(payload, shard, guild_id, ttl_s)
        sent(self._requests.ask("send", ANSWER_S + (SEND_S if ttl_s is None else ttl_s), fields))

    def status(self) -> dict[str, Any]:
        """Return the cluster's status; see `aio.Cluster.status`."""
        return status_in(self._requests.ask("status", ANSWER_S, {}))

    def restart(self, shard: int | None = None, *, rolling: bool = False, every: bool = False) -> None:
        """Have workers restarted; see `aio.Cluster.restart`."""
        fields = restart_fields(shard, rolling=rolling, every=every)
        if shard is None:
            one_host(self._roster.given, "restart")
        restarted(self._requests.ask("restart", ANSWER_S, fields))

    def drain(self) -> None:
        """Have a host's shards handed to others; see `aio.Cluster.drain`."""
        one_host(self._roster.given, "drain")
        drained(self._requests.ask("drain", ANSWER_S, {}))

    def close(self) -> None:
        """Close every subscription and socket."""
        for subscription in self._subscriptions:
            subscription.close()
        self._requests.close()
        self._context.destroy(linger=0)

    def find_hosts(self) -> None:
        """Look for the hosts once, before anything is asked; those that aren't found are looked for again."""
        self._seek(None)

    def _seek(self, within_s: float | None) -> None:
        """Look for hosts if none says a word, for so long at most."""
        if self._search is None or not self._roster.seek(time.monotonic()):
            return
        if _loop_runs():
            raise RuntimeError(
                "a cluster of several hosts can't wait where an event loop runs: use `async with`"
            )
        loop = asyncio.new_event_loop()
        try:
            with contextlib.suppress(TimeoutError):
                told = loop.run_until_complete(asyncio.wait_for(self._search.found(), within_s))
                self._roster.told(told, time.monotonic())
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())  # it resolves names
            loop.close()


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
