"""Passes on to every worker what one of them, or Discord's REST, let us know (does)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gwcluster.supervise.conditions import Watch
from gwcluster.wire.control import SHUN_S, Conditions, HostFailed, SentAway
from gwcluster.wire.notices import ShardState

SHUN_MIN: Final = SHUN_S / 60

log = logging.getLogger(__name__)


class Grapevine:
    """What workers should know of each other.

    Args:
        tell_all: sends it to every worker that runs.
        clock: monotonic seconds.
    """

    def __init__(self, tell_all: Callable[[Conditions], None], clock: Callable[[], float]) -> None:
        self._tell_all = tell_all
        self._clock = clock
        self._watch = Watch()

    @property
    def known(self) -> Conditions:
        """What a worker that starts now has to know."""
        return self._watch.now_known(self._clock())

    @property
    def stranded(self) -> bool:
        """Whether any shard has been unable to connect for a while."""
        return self._watch.stranded(self._clock())

    def heard(self, shard: int, message: HostFailed | SentAway) -> None:
        """A worker found something out."""
        now = self._clock()
        if isinstance(message, SentAway):
            news = self._watch.sent_away(shard, now)
            if news:
                log.warning("Discord asks many shards to reconnect at once; they spread it over two seconds")
        else:
            news = self._watch.host_failed(message.url, now)
            if news:
                said = "no shard dials %.100s for %.0f minutes: it failed shard %d"
                log.warning(said, message.url, SHUN_MIN, shard)
        if news:
            self._tell_all(self.known)

    def seen(self, shard: int, state: ShardState) -> None:
        """The shard is in this state."""
        self._watch.seen(shard, state, self._clock())

    def ready(self) -> None:
        """READY came to a shard, so it may come to others."""
        if self._watch.ready(self._clock()):
            self._tell_all(self.known)

    def remind(self) -> None:
        """Pass on what was held back so as not to tell it all the time."""
        if self._watch.owed(self._clock()):
            self._tell_all(self.known)

    def moved(self, url: str) -> None:
        """The gateway is at another address now."""
        log.warning("the gateway has moved to %.100s", url)
        self._watch.gateway_url = url
        self._tell_all(self.known)
