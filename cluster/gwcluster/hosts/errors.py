"""What can go wrong between hosts (pure). Each names the bucket and the key."""

from __future__ import annotations

from gwcluster.errors import GwclusterError


class HostsError(GwclusterError):
    """The hosts can't be joined; the message says why and what would help."""


class LayoutError(HostsError):
    """Two hosts run with different numbers of shards."""


class KvError(HostsError):
    """A request to a bucket failed."""


class TakenError(KvError):
    """Somebody else wrote the key first; read it again."""


class UnansweredError(KvError):
    """Nothing is known of what became of a request: it may yet happen.

    Attributes:
        leaderless: a server answered that nobody leads just now.
    """

    def __init__(self, message: str, *, leaderless: bool = False) -> None:
        super().__init__(message)
        self.leaderless = leaderless
