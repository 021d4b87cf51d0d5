"""The IDENTIFYs of a scene, for those that look at when they came."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from gwsimulator.records import Identify
from support.scene import Scene

WINDOW_S: Final = 5.0
"""Least time between two of one key. https://docs.discord.com/developers/events/gateway#rate-limiting"""

MARGINS_S: Final = 0.6
"""What we may add to it: a quarter for the way, up to a quarter against keeping step, and the poll."""


def gaps(identifies: Iterable[Identify]) -> list[float]:
    """Return the seconds between one and the next."""
    return [after.at - before.at for before, after in pairwise(identifies)]


def of(scene: Scene, *shards: int) -> list[Identify]:
    """Return the IDENTIFYs of these shards."""
    return [identify for identify in scene.sim.ledger.identifies if identify.shard in shards]
