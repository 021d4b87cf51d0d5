"""What a bot imports as `gwcluster` (does): a connection with a cluster, for asyncio or for plain scripts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType

from gwcluster.client.addresses import Addresses, find
from gwcluster.client.aio import Cluster, Subscription
from gwcluster.client.blocking import BlockingCluster, BlockingSubscription
from gwcluster.client.cursor import CursorError
from gwcluster.client.event import Event
from gwcluster.client.following import FollowError
from gwcluster.client.keys import Curve, KeyRefused
from gwcluster.client.refused import DrainRefused, NoAnswer, RestartRefused, SendRefused
from gwcluster.curve.key_files import KeyFileError

__all__ = [
    "BlockingCluster",
    "BlockingSubscription",
    "Cluster",
    "CursorError",
    "Curve",
    "DrainRefused",
    "Event",
    "FollowError",
    "KeyFileError",
    "KeyRefused",
    "NoAnswer",
    "RestartRefused",
    "SendRefused",
    "Subscription",
    "connect",
]


class Connection:
    """What `connect` returns: `async with` gives a cluster for asyncio, `with` one whose calls wait."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._cluster: Cluster | BlockingCluster | None = None

    async def __aenter__(self) -> Cluster:
        """Connect."""
        self._cluster = cluster = Cluster(self._addresses)
        try:
            await cluster.find_hosts()
        except BaseException:
            cluster.close()
            raise
        return cluster

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        self._close()

    def __enter__(self) -> BlockingCluster:
        """Connect."""
        self._cluster = cluster = BlockingCluster(self._addresses)
        try:
            cluster.find_hosts()
        except BaseException:
            cluster.close()
            raise
        return cluster

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        self._close()

    def _close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()


def connect(
    file: str | os.PathLike[str] | None = None,
    *,
    events: str | Sequence[str] | None = None,
    requests: str | Sequence[str] | None = None,
    curve: Curve | None = None,
) -> Connection:
    """Return a connection to a cluster, for `async with` or `with`.

    The cluster need not be running: whoever subscribes hears it as soon as it does, and again when it was
    restarted. No thread is started. Where several hosts share the shards, each is connected with, and those
    that join later are found.

    Args:
        file: the cluster's `cluster.yaml`, for its addresses; its token need not be at hand.
        events, requests: ZeroMQ addresses of its `events.bind` and `requests.bind`, instead of a file's; of
            several hosts, a list of each, in the same order.
        curve: the keys, where the cluster asks for some. Without it, for a file that says so: the cluster's
            public key from beside its secret one, and this program's from the file that $GWCLUSTER_KEY names.

    Raises:
        TypeError: neither a file nor both addresses.
        ValueError: one of them is no address, or a host has only one.
        gwcluster.config.ConfigError: the file can't be used; print it.
        KeyFileError: a file of keys can't be used; correct it.
        KeyRefused: the cluster asks for keys, and none were given.
    """
    return Connection(find(file, events, requests, curve))
