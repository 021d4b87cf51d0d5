"""A cluster for asyncio (does)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import zmq

from gwcluster.client.addresses import Addresses
from gwcluster.client.aio_requests import Requests, Watch
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
from gwcluster.client.search import Search
from gwcluster.client.sockets import Socket
from gwcluster.client.topics import Wanted

TURN: Final = 64
"""Events after which others on the loop get their turn, however many are ready."""


class Subscription(AsyncIterator[Event]):
    """Events of a cluster, one after the other, until it is closed; what `Cluster.subscribe` returns."""

    def __init__(
        self,
        context: zmq.Context[Socket],
        curve: Curve | None,
        wanted: Wanted,
        cursor: Path | None,
        *,
        roster: Roster,
        seek: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seek = seek
        self._feed = Feed(
            context,
            curve,
            wanted,
            cursor,
            roster=roster,
            watch=Watch(self._look),
            wall=time.time,
            clock=time.monotonic,
        )
        self._following, self._line = self._feed.following, self._feed.line
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._in_a_row = 0
        self._closed = False
        self._soon()

    def __aiter__(self) -> Subscription:
        """Return itself."""
        return self

    async def __anext__(self) -> Event:
        """Note that the event before is done, and return the next one as soon as there is one.

        Raises:
            FollowError: the cluster refuses the subscription; correct it.
            KeyRefused: the cluster doesn't let this program in.
            WireVersionError: the cluster is newer than this library; upgrade it.
            CursorError: the cursor can't be written; nothing was noted.
        """
        while not self._closed:
            if self._in_a_row >= TURN:
                self._in_a_row = 0
                self._look()
                await asyncio.sleep(0)  # who is cancelled here has been handed nothing
            event = self._following.next()
            if event is not None:
                self._in_a_row += 1
                return event
            self._look()
            self._news.clear()
            if not self._following.waiting:
                await self._news.wait()
                self._in_a_row = 0
        raise StopAsyncIteration

    def close(self) -> None:
        """Stop: the event that was handed out last counts as not done, unless another was asked for."""
        if self._closed:
            return
        self._closed = True
        self._news.set()
        if self._timer is not None:
            self._timer.cancel()
        self._feed.close()

    def _look(self) -> None:
        if self._closed:
            return
        more = self._line.pump()
        self._seek()
        if self._following.waiting:
            self._news.set()
        self._soon(0.0 if more else self._line.wait_s)

    def _soon(self, seconds: float = 0.0) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._look)


class Cluster:
    """A cluster that one is connected with; `async with gwcluster.connect(…)` gives it."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._roster = Roster(
            addresses.hosts, several=addresses.search is not None, alone=addresses.alone, now=time.monotonic()
        )
        self._searching: asyncio.Task[None] | None = None
        self._requests = Requests(self._context, addresses.curve, self._roster, self._seek)
        self._subscriptions: list[Subscription] = []

    def subscribe(
        self,
        *names: str,
        shards: Iterable[int] | None = None,
        cursor: str | os.PathLike[str] | None = None,
    ) -> Subscription:
        """Return the events of these names, to be iterated over with `async for`.

        gwcluster's own notices come whatever the names are; beacons only if they are asked for by name.

        Args:
            names: such as `MESSAGE_CREATE`; none: every event.
            shards: shard ids; None: all, also those that come later.
            cursor: a file that keeps how far one has come, from where one goes on; an event counts as done
                when the next one is asked for. Without it, or when it isn't there yet, one begins at now.

        Raises:
            ValueError: a name or shard that can't be.
            CursorError: the cursor can't be used, or another process uses it.
        """
        wanted = Wanted(names, shards)
        path = None if cursor is None else Path(cursor)
        subscription = Subscription(
            self._context, self._addresses.curve, wanted, path, roster=self._roster, seek=self._seek
        )
        self._subscriptions.append(subscription)
        return subscription

    async def send(
        self,
        payload: dict[str, Any],
        *,
        shard: int | None = None,
        guild_id: int | str | None = None,
        ttl_s: float | None = None,
    ) -> None:
        """Have a gateway command sent to Discord; return when a socket has taken it.

        Args:
            payload: `{"op": …, "d": …}` with opcode 3, 4, 8, 31 or 43.
            shard, guild_id: on which shard, or on that of which guild; one of the two.
            ttl_s: how long it may wait for its turn, up to 300; None: 60 for a presence, 30 for others.

        Raises:
            SendRefused: it was not sent; `code` and `retry_after` say why and what helps.
            NoAnswer: nobody knows whether it was.
            KeyRefused: the cluster doesn't let this program in.
        """
        fields = command_fields(payload, shard, guild_id, ttl_s)
        sent(await self._requests.ask("send", ANSWER_S + (SEND_S if ttl_s is None else ttl_s), fields))

    async def status(self) -> dict[str, Any]:
        """Return the cluster's status; docs/wire.md describes it.

        Raises:
            NoAnswer: it doesn't answer; is it running?
            KeyRefused: the cluster doesn't let this program in.
        """
        return status_in(await self._requests.ask("status", ANSWER_S, {}))

    async def restart(self, shard: int | None = None, *, rolling: bool = False, every: bool = False) -> None:
        """Have workers restarted; return when that has begun. Sessions that live are resumed.

        Args:
            shard: that of one shard, also out of backoff or failure; or
            rolling: those of all, one after the other, each with the code that is installed now; or
            every: those of all, over two seconds. One of the three.

        Raises:
            ValueError: none of the three was said, or two were; or those of all, and this is a connection
                with several hosts, of which each restarts its own: give `connect` the addresses of one.
            RestartRefused: nothing is restarted; the message says why.
            NoAnswer: nobody knows whether anything is.
        """
        fields = restart_fields(shard, rolling=rolling, every=every)
        if shard is None:
            one_host(self._roster.given, "restart")
        restarted(await self._requests.ask("restart", ANSWER_S, fields))

    async def drain(self) -> None:
        """Have the asked host hand its shards to others, one by one; return when that has begun.

        Each session is resumed where it goes: no identify. `status` tells how far it is.

        Raises:
            ValueError: this is a connection with several hosts; give `connect` the addresses of one.
            DrainRefused: nothing is handed on; the message says why.
            NoAnswer: nobody knows whether anything is.
        """
        one_host(self._roster.given, "drain")
        drained(await self._requests.ask("drain", ANSWER_S, {}))

    def close(self) -> None:
        """Close every subscription and socket."""
        if self._searching is not None:
            self._searching.cancel()
        for subscription in self._subscriptions:
            subscription.close()
        self._requests.close()
        self._context.destroy(linger=0)

    async def find_hosts(self) -> None:
        """Look for the hosts once, before anything is asked; those that aren't found are looked for again."""
        self._seek()
        if self._searching is not None:
            await self._searching

    def _seek(self) -> None:
        """Look for hosts, beside whatever goes on, if none says a word."""
        search = self._addresses.search
        if search is None or (self._searching is not None and not self._searching.done()):
            return
        if self._roster.seek(time.monotonic()):
            self._searching = asyncio.get_running_loop().create_task(self._search(search))

    async def _search(self, search: Search) -> None:
        self._roster.told(await search.found(), time.monotonic())
        self._requests.look()
