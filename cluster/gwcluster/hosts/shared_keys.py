"""Takes and returns keys of permits in NATS, as `permit_keys` decides (does)."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.client import Client

from gwcluster.hosts.shared_ledger import SharedLedger
from gwcluster.identify.gate import Gate


class SharedKeys:
    """What `Permits(…, keys=…)` consults before a permit is granted.

    Args:
        client, cluster: as for `Leases`.
        owner: this run of the coordinator: host and incarnation.
        ledger: each permit is counted there before it may be granted.
        clock: monotonic seconds.
        wake: called when a key may be granted that couldn't before: let `Permits.step` run.
    """

    def __init__(
        self,
        client: Client,
        *,
        cluster: str,
        owner: str,
        ledger: SharedLedger,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None: ...

    async def join(self) -> None:
        """Make the bucket if it is missing. Raises HostsError."""

    async def run(self) -> None:
        """Hear of keys that other hosts return, until cancelled."""

    def held(self, now: float) -> dict[int, float]:
        """Return the keys that may be granted now, each with the moment until which its permit is good."""
        return {}

    def look(self, gate: Gate, now: float) -> None:
        """Take what the gate wants and return what it no longer needs; after every step of the gate."""

    async def close(self, *, within_s: float) -> None:
        """Return every key that nothing was granted of."""
