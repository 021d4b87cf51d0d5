"""Subscribe to a cluster that holds a large Discord bot's gateway connections.

async with gwcluster.connect("cluster.yaml") as cluster:
    async for event in cluster.subscribe("MESSAGE_CREATE", cursor="bot.cursor"):
        print(event.data["content"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gwcluster.errors import GwclusterError, WireError, WireVersionError

if TYPE_CHECKING:
    from gwcluster.client import (
        BlockingCluster,
        BlockingSubscription,
        Cluster,
        CursorError,
        Curve,
        DrainRefused,
        Event,
        FollowError,
        KeyFileError,
        KeyRefused,
        NoAnswer,
        RestartRefused,
        SendRefused,
        Subscription,
        connect,
    )

__all__ = [
    "BlockingCluster",
    "BlockingSubscription",
    "Cluster",
    "CursorError",
    "Curve",
    "DrainRefused",
    "Event",
    "FollowError",
    "GwclusterError",
    "KeyFileError",
    "KeyRefused",
    "NoAnswer",
    "RestartRefused",
    "SendRefused",
    "Subscription",
    "WireError",
    "WireVersionError",
    "connect",
]


def __getattr__(name: str) -> Any:
    # A worker imports parts of this package, too, and each import costs memory once per shard.
    if name in __all__:
        from gwcluster import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
