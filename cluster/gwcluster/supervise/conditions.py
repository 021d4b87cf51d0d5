"""What one shard found out and the others should know (pure).

A resume host that died takes with it the sessions of many shards; each would learn it at the price of
twenty seconds of silence. An outage and a storm of reconnects, too, show only to who sees all shards.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from gwcluster.wire.control import SHUN_S, Conditions
from gwcluster.wire.notices import ShardState

MAX_HOSTS: Final = 64
"""Most bad hosts remembered; the oldest goes first."""

STORM_SHARDS: Final = 4
STORM_S: Final = 5.0
"""More shards than this sent away within this time are a storm; it lasts as long after the last of them."""

READY_NEWS_S: Final = 10.0
"""How often workers are told anew when READY last came; a large start would tell it to all for each."""

STRANDED_S: Final = 120.0
"""A shard that is offline or dialing for so long can't connect: dials come twice as often at least."""


class Watch:
    """Collects what workers say, and tells when there is something to pass on; moments are monotonic.

    Attributes:
        gateway_url: where to identify, None while each worker's job says so.
    """

    def __init__(self) -> None:
        self.gateway_url: str | None = None
        self._unconnected: dict[int, float] = {}
        self._bad_hosts: dict[str, float] = {}
        self._sent_away: deque[tuple[float, int]] = deque()
        self._storm_until = float("-inf")
        self._storm_told_until = float("-inf")
        self._ready_at = float("-inf")
        self._ready_told_at = float("-inf")

    def now_known(self, now: float) -> Conditions:
        """Return what a new worker has to know."""
        self._bad_hosts = {url: until for url, until in self._bad_hosts.items() if until > now}
        return Conditions(dict(self._bad_hosts), self._storm_until, self._ready_at, self.gateway_url)

    def seen(self, shard: int, state: ShardState, now: float) -> None:
        """A shard is in this state."""
        if state in {ShardState.BACKOFF, ShardState.CONNECTING}:
            self._unconnected.setdefault(shard, now)
        else:
            self._unconnected.pop(shard, None)

    def stranded(self, now: float) -> bool:
        """Say whether any shard can't connect, so that the gateway may have another address by now."""
        return any(now - since >= STRANDED_S for since in self._unconnected.values())

    def host_failed(self, url: str, now: float) -> bool:
        """A resume host failed; say whether that is news."""
        known = self._bad_hosts.pop(url, now) > now
        self._bad_hosts[url] = now + SHUN_S
        if len(self._bad_hosts) > MAX_HOSTS:
            del self._bad_hosts[next(iter(self._bad_hosts))]
        return not known

    def sent_away(self, shard: int, now: float) -> bool:
        """Op 7 came to a shard; say whether that makes it a storm of which nobody was told yet."""
        self._sent_away.append((now, shard))
        while self._sent_away[0][0] <= now - STORM_S:
            self._sent_away.popleft()
        if len({shard for _, shard in self._sent_away}) <= STORM_SHARDS:
            return False
        self._storm_until = now + STORM_S
        if self._storm_told_until - now > STORM_S / 2:
            return False
        self._storm_told_until = self._storm_until
        return True

    def ready(self, now: float) -> bool:
        """READY came to a shard; say whether the others should hear of it."""
        self._ready_at = now
        return self.owed(now)

    def owed(self, now: float) -> bool:
        """Say whether a READY that nobody was told of is to be told by now; ask from time to time."""
        if self._ready_at <= self._ready_told_at or now - self._ready_told_at < READY_NEWS_S:
            return False
        self._ready_told_at = now
        return True
