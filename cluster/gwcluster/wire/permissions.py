"""What the owner of a key may do (pure): the words in its certificate."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Final


class Permission(enum.StrEnum):
    """What a client's key may be good for.

    READ: events, replays, the status.
    SEND: payloads for Discord.
    OPERATE: restarts of shards.
    """

    READ = "read"
    SEND = "send"
    OPERATE = "operate"


UNSAID: Final = frozenset({Permission.READ})
"""What a key may whose certificate says nothing."""


def in_words(may: Collection[Permission]) -> str:
    """Return `read and send`, `nothing`."""
    *rest, last = [each.value for each in Permission if each in may] or ["nothing"]
    return f"{', '.join(rest)} and {last}" if rest else last
