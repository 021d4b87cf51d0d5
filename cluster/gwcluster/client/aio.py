"""A cluster for asyncio (does)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from gwcluster.client.addresses import Addresses
from gwcluster.client.entry import EVENTS, Entry
from gwcluster.client.event import Event
from gwcluster.client.feed import Feed
from gwcluster.client.keys import KeyRefused
from gwcluster.client.line import Socket, has_news, monitored
from gwcluster.client.refused import (
    ANSWER_S,
    SEND_S,
    command_fields,
    drained,
    hung_up,
    restart_fields,
    restarted,
    sent,
    silent,
    status_in,
)
from gwcluster.client.topics import Wanted
from gwcluster.errors import WireError
from gwcluster.wire.replay import Refused, decode_answer, encode_request

TURN: Final = 64
"""Events after which others on the loop get their turn, however many are ready."""


class Watch:
    """Calls a function when one of some ZeroMQ sockets may have news; their descriptors tell only changes."""

    def __init__(self, sockets: Iterable[Socket], look: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptors = [int(socket.getsockopt(zmq.FD)) for socket in sockets]
        for descriptor in self._descriptors:
            self._loop.add_reader(descriptor, look)

    def close(self) -> None:
        """Look no more; before the sockets are closed."""
        for descriptor in self._descriptors:
            self._loop.remove_reader(descriptor)


class Subscription(AsyncIterator[Event]):
    """Events of a cluster, one after the other, until it is closed; what `Cluster.subscribe` returns."""

    def __init__(
        self, context: zmq.Context[Socket], addresses: Addresses, wanted: Wanted, cursor: Path | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._feed = Feed(context, addresses, wanted, cursor, wall=time.time, clock=time.monotonic)
        self._following, self._line = self._feed.following, self._feed.line
        self._watch = Watch(self._line.sockets, self._look)
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
        self._watch.close()
        self._feed.close()

    def _look(self) -> None:
        if self._closed:
            return
        more = self._line.pump()
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
        self._requests = Requests(self._context, addresses)
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
        subscription = Subscription(self._context, self._addresses, wanted, path)
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
            ValueError: none of the three was said, or two were.
            RestartRefused: nothing is restarted; the message says why.
            NoAnswer: nobody knows whether anything is.
        """
        fields = restart_fields(shard, rolling=rolling, every=every)
        restarted(await self._requests.ask("restart", ANSWER_S, fields))

    async def drain(self) -> None:
        """Have the asked host hand its shards to others, one by one; return when that has begun.

        Each session is resumed where it goes: no identify. `status` tells how far it is.

        Raises:
            DrainRefused: nothing is handed on; the message says why.
            NoAnswer: nobody knows whether anything is.
        """
        drained(await self._requests.ask("drain", ANSWER_S, {}))

    def close(self) -> None:
        """Close every subscription and socket."""
        for subscription in self._subscriptions:
            subscription.close()
        self._requests.close()
        self._context.destroy(linger=0)


class Requests:
    """Asks a cluster, and waits for its answers."""

    def __init__(self, context: zmq.Context[Socket], addresses: Addresses) -> None:
        self._address = addresses.requests
        self._dealer, self._monitor = monitored(
            context, zmq.DEALER, addresses.requests, addresses.curve, zmq.EVENT_DISCONNECTED | EVENTS
        )
        self._entry = Entry(addresses.requests, has_key=addresses.curve is not None)
        self._refused: KeyRefused | None = None
        self._watch = Watch((self._dealer, self._monitor), self._look)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[dict[str, Any] | Refused], bytes | str]] = {}

    async def ask(self, op: str, seconds: float, fields: dict[str, Any]) -> dict[str, Any] | Refused:
        """Return what is answered.

        Raises:
            NoAnswer: nothing was, for so many seconds.
            SendRefused: the connection was lost meanwhile.
            KeyRefused: the cluster doesn't let this program in.
        """
        self._look()
        if self._refused is not None:
            raise self._refused
        number = next(self._numbers)
        body = encode_request(op, number, **fields)
        waiting: asyncio.Future[dict[str, Any] | Refused] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting, op if op in {"send", "restart"} else body
        try:
            self._dealer.send(body, zmq.DONTWAIT)
            self._look()
            async with asyncio.timeout(seconds):
                return await waiting
        except (TimeoutError, zmq.Again):
            raise silent(self._address, seconds, self._entry.hint) from None
        finally:
            del self._waiting[number]

    def close(self) -> None:
        """Close the sockets."""
        self._watch.close()
        self._dealer.disable_monitor()
        self._monitor.close()
        self._dealer.close()

    def _look(self) -> None:
        while has_news(self._dealer):
            self._answered(self._dealer.recv_multipart(zmq.DONTWAIT)[-1])
        while has_news(self._monitor):
            event = parse_monitor_message(self._monitor.recv_multipart(zmq.DONTWAIT))["event"]
            if event == zmq.EVENT_DISCONNECTED:
                self._hung_up()
            elif (refused := self._entry.heard(event)) is not None:
                self._shut_out(refused)

    def _shut_out(self, refused: KeyRefused) -> None:
        self._refused = refused
        for waiting, _ in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(refused)

    def _hung_up(self) -> None:
        """Ask again what may be asked twice."""
        for waiting, body in self._waiting.values():
            if waiting.done():
                continue
            if isinstance(body, str):
                waiting.set_exception(hung_up(body))
            else:
                with contextlib.suppress(zmq.Again):  # for long nobody has read: then nobody answers, either
                    self._dealer.send(body, zmq.DONTWAIT)

    def _answered(self, body: bytes) -> None:
        try:
            number, answer = decode_answer(body)
        except WireError:
            return  # whose it is can't be known: who asked hears that there is no answer
        waiting, _ = self._waiting.get(number, (None, None)) if isinstance(number, int) else (None, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
