"""The identify ledger of all hosts (does): in this host's file first, and in NATS by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client

from gwcluster.identify.caution import Past
from gwcluster.identify.known import Known
from gwcluster.identify.ledger import Ledger


class SharedLedger:
    """Has the methods of `identify.ledger.Ledger`, which speak for all hosts; `Permits` and `Limits` take either.

    Args:
        client, cluster: as for `Leases`.
        host: this host's name.
        incarnation: of this run.
        local: this host's file; written first.
        clock: Unix seconds.
        limit: how many identifies all hosts together may spend in a day (total less reserve).
        others_spent: told how many permits other hosts took since it was last called.
    """

    def __init__(
        self,
        client: Client,
        *,
        cluster: str,
        host: str,
        incarnation: str,
        local: Ledger,
        clock: Callable[[], float],
        limit: Callable[[], int],
        others_spent: Callable[[int], None],
    ) -> None: ...

    async def join(self) -> None:
        """Read what the hosts know, and add what this host's file knows from before it was one of several.

        Raises:
            HostsError: JetStream doesn't answer, or the ledger there is of a newer gwcluster.
        """

    async def run(self) -> None:
        """Bring what happened here to the others, and hear of what happened there, until cancelled."""

    def granted(self, shard: int, shards: int, key: int, at_wall: float) -> int: ...  # type: ignore[empty-body]
    def sent(self, permit: int, at_wall: float) -> None: ...
    def unused(self, permit: int) -> None: ...
    def outcome(self, permit: int, text: str) -> None: ...
    def spent_since(self, wall: float) -> int: ...  # type: ignore[empty-body]
    def last_sent_by_key(self, max_concurrency: int) -> dict[int, float]: ...  # type: ignore[empty-body]
    def past(self, offset_s: float) -> list[Past]: ...  # type: ignore[empty-body]
    @property
    def known(self) -> Known | None: ...
    def keep_known(self, known: Known) -> None: ...
    @property
    def not_before(self) -> float | None: ...
    def set_not_before(self, wall: float) -> None: ...
    async def close(self, *, within_s: float) -> None: ...
