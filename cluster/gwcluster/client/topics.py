"""What a subscriber wants (pure): event names and shards, and the topics that bring them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from gwcluster.errors import quoted
from gwcluster.wire.events import topic
from gwcluster.wire.notices import BEACON, LOGGED

_NAME: Final = re.compile("[A-Za-z0-9_]{1,100}")
_NOTICES: Final = "GWCLUSTER_"
_MAX_TOPICS: Final = 1_000
"""Beyond so many, all shards of a name are subscribed to, and others' events are dropped here."""

MAX_NAMES: Final = 250
"""A request for a replay names at most 256, and notices come on top."""


class Wanted:
    """Names and shards of one subscription.

    Args:
        names: event names; none: all.
        shards: shard ids; None: all.

    Raises:
        ValueError: a name that no event has, too many names, or a shard that is no shard id.

    Attributes:
        names: the names that are in the log and wanted, notices among them; None: all.
        beacons: whether the subscriber wants to see beacons itself.
    """

    def __init__(self, names: Sequence[str], shards: Iterable[int] | None) -> None:
        for name in names:
            if _NAME.fullmatch(str(name)) is None:
                raise ValueError(
                    f"{quoted(name)} is no event's name; it should be one such as MESSAGE_CREATE"
                )
        if len(set(names)) > MAX_NAMES:
            raise ValueError(f"{len(set(names))} event names; at most {MAX_NAMES}, or none for all events")
        self.shards = None if shards is None else frozenset(shards)
        for shard in self.shards or ():
            if type(shard) is not int or shard < 0:
                raise ValueError(f"{quoted(shard)} is no shard id; it should be a whole number from 0")
        if self.shards is not None and not self.shards:
            raise ValueError("no shard is wanted; leave `shards` out for all of them")
        self.names = frozenset(names) | LOGGED if names else None
        self.beacons = BEACON in names

    def has_shard(self, shard: int) -> bool:
        """Say whether events of this shard are wanted."""
        return self.shards is None or shard in self.shards

    def has_name(self, name: str) -> bool:
        """Say whether events of this name are wanted."""
        return self.names is None or name in self.names or name.startswith(_NOTICES)

    @property
    def prefixes(self) -> list[bytes]:
        """What to subscribe to."""
        if self.names is None:
            return [b""]
        events = sorted(name for name in self.names if not name.startswith(_NOTICES))
        if self.shards is None or len(events) * len(self.shards) > _MAX_TOPICS:
            prefixes = [f"{name}.".encode("ascii") for name in events]
        else:
            prefixes = [topic(name, shard) for name in events for shard in sorted(self.shards)]
        return [*prefixes, _NOTICES.encode("ascii")]
