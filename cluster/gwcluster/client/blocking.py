"""A cluster for scripts without asyncio (does): the same, but each call waits."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

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
    restart_fields,
    restarted,
    sent,
    silent,
    status_in,
)
from gwcluster.client.topics import Wanted
from gwcluster.errors import WireError
from gwcluster.wire.replay import Refused, decode_answer, encode_request


class BlockingSubscription(Iterator[Event]):
    """Events of a cluster, one after the other, until it is closed; what `BlockingCluster.subscribe` returns.

    Nothing is read while the caller works, and nothing is lost by it: what the publisher drops is fetched.
    """

    def __init__(
        self, context: zmq.Context[Socket], addresses: Addresses, wanted: Wanted, cursor: Path | None
    ) -> None:
        self._feed = Feed(context, addresses, wanted, cursor, wall=time.time, clock=time.monotonic)
        self._following, self._line = self._feed.following, self._feed.line
        self._poller = zmq.Poller()
        for socket in self._line.sockets:
            self._poller.register(socket, zmq.POLLIN)
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
            wait_s = self._line.wait_s
            if until is not None:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    return None
                wait_s = min(wait_s, left_s)
            self._poller.poll(int(wait_s * 1000) + 1)
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
        self._addresses = addresses
        self._context: zmq.Context[Socket] = zmq.Context(1)
        self._dealer, self._monitor = monitored(
            self._context, zmq.DEALER, addresses.requests, addresses.curve, EVENTS
        )
        self._entry = Entry(addresses.requests, has_key=addresses.curve is not None)
        self._refused: KeyRefused | None = None
        self._poller = zmq.Poller()
        self._poller.register(self._dealer, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._numbers = itertools.count(1)
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
        subscription = BlockingSubscription(self._context, self._addresses, wanted, path)
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
        sent(self._ask("send", ANSWER_S + (SEND_S if ttl_s is None else ttl_s), fields))

    def status(self) -> dict[str, Any]:
        """Return the cluster's status; see `aio.Cluster.status`."""
        return status_in(self._ask("status", ANSWER_S, {}))

    def restart(self, shard: int | None = None, *, rolling: bool = False, every: bool = False) -> None:
        """Have workers restarted; see `aio.Cluster.restart`."""
        restarted(self._ask("restart", ANSWER_S, restart_fields(shard, rolling=rolling, every=every)))

    def drain(self) -> None:
        """Have a host's shards handed to others; see `aio.Cluster.drain`."""
        drained(self._ask("drain", ANSWER_S, {}))

    def close(self) -> None:
        """Close every subscription and socket."""
        for subscription in self._subscriptions:
            subscription.close()
        self._dealer.disable_monitor()
        self._monitor.close()
        self._dealer.close()
        self._context.destroy(linger=0)

    def _ask(self, op: str, seconds: float, fields: dict[str, Any]) -> dict[str, Any] | Refused:
        number = next(self._numbers)
        until = time.monotonic() + seconds
        self._look_for_entry()
        try:
            self._dealer.send(encode_request(op, number, **fields), zmq.DONTWAIT)
        except zmq.Again:
            raise silent(self._addresses.requests, 0) from None
        while (left_s := until - time.monotonic()) > 0:
            self._poller.poll(int(left_s * 1000) + 1)
            self._look_for_entry()
            if not self._dealer.poll(0):
                continue
            try:
                answered, answer = decode_answer(self._dealer.recv_multipart()[-1])
            except WireError:
                continue
            if answered == number:  # else it came too late for an earlier question
                return answer
        raise silent(self._addresses.requests, seconds, self._entry.hint)

    def _look_for_entry(self) -> None:
        while has_news(self._monitor):
            event = parse_monitor_message(self._monitor.recv_multipart(zmq.DONTWAIT))["event"]
            self._refused = self._entry.heard(event) or self._refused
        if self._refused is not None:
            raise self._refused
