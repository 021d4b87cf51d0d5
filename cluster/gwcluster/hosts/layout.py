"""What all hosts of a cluster agree on (does): the shard count, by whoever came first."""

from __future__ import annotations

from dataclasses import dataclass

from nats.aio.client import Client


@dataclass(frozen=True, slots=True)
class Layout:
    """Attributes: `shards`: how many the bot has; `host`: who said so first."""

    shards: int
    host: str


async def agreed(client: Client, *, cluster: str) -> Layout | None:
    """Return what is agreed, None: nothing yet. Raises HostsError."""


async def agree(client: Client, *, cluster: str, host: str, shards: int) -> Layout:
    """Return what is agreed, which is this when nothing was.

    Raises:
        LayoutError: another host runs with another number of shards; both are named.
        HostsError: JetStream doesn't answer.
    """
    raise NotImplementedError
