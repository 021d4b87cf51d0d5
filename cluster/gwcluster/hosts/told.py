"""What the leases tell whoever runs the shards (pure)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claimed:
    """The shard is ours: start its worker, once no worker of ours runs for it any more.

    Attributes:
        shard: its id.
        token: grows with every owner of the shard; the fence in its log carries it.
        until: monotonic moment (s) at which the lease ends, unless `Renewed` moves it.
    """

    shard: int
    token: int
    until: float


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease of a shard of ours lasts until the monotonic moment `until` (s): tell its worker."""

    shard: int
    until: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Another host is to have the shard: stop its worker so that its session can be resumed, then call
    `Leases.released`; the lease is kept and renewed until then."""

    shard: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The shard isn't ours any more: end its worker at once. Nothing has to be called."""

    shard: int
    reason: str


Told = Claimed | Renewed | GiveUp | Lost
