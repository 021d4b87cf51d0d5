"""When and where to dial next (pure)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gwcluster.backoff import Backoff
from gwcluster.wire.control import SHUN_S

HEALTHY_S: Final = 60.0
"""A connection that was live this long was good: the next retry begins without backoff again."""

BASE_S: Final = 1.0
CAP_S: Final = 60.0

DOUBTS: Final = 2
"""Times in a row that a host greets us by something other than Hello, after which it counts as failed."""

STORM_SPREAD_S: Final = 2.0
"""Over how much time dials are spread when Discord asks many shards to reconnect at once."""


@dataclass(frozen=True, slots=True)
class Known:
    """A session that may be resumed."""

    session_id: str
    resume_url: str | None


class Redial:
    """Waits between connections: at most a second after a good one, then 1, 2, 4 … 60 s.

    The counter goes back only when a connection was live for `HEALTHY_S`, so one that becomes ready and
    drops at once does not dial in a loop.

    Args:
        jitter: returns a number from 0 up to 1, uniformly.

    Attributes:
        attempt: number of the last dial since a good connection, from 1.
    """

    def __init__(self, *, jitter: Callable[[], float]) -> None:
        self.attempt = 0
        self._jitter = jitter
        self._backoff = Backoff(base_s=BASE_S, cap_s=CAP_S, jitter=jitter)
        self._failures = 0
        self._floor_s = 0.0
        self._at_once = False
        self._live_since: float | None = None
        self._storm_until = float("-inf")
        self._shunned: dict[str, float] = {}  # resume address → until when
        self._dialed: str | None = None
        self._alternative: str | None = None
        self._doubts = 0
        self._suspect: str | None = None
        self._blind = False  # since the last Hello every address failed: that tells nothing of any of them

    # When

    def live(self, now: float) -> None:
        """The session is live; the host that was dialed is good."""
        self._live_since = now
        if self._dialed is not None:
            self._shunned.pop(self._dialed, None)

    def ended(self, now: float) -> bool:
        """The connection is over; say whether it was good for long enough."""
        since, self._live_since = self._live_since, None
        if since is None or now - since < HEALTHY_S:
            return False
        self._failures = self.attempt = 0
        self._backoff.reset()
        return True

    def at_least(self, floor_s: float) -> None:
        """Let the next wait be no shorter than this."""
        self._floor_s = max(self._floor_s, floor_s)

    def asked_to_wait(self, floor_s: float) -> None:
        """Let the next wait be that long, and up to a second longer: many may have been told the same."""
        if floor_s > 0:
            self.at_least(floor_s + self._jitter())

    def at_once(self, now: float) -> None:
        """The peer asked for it: don't wait, unless it asks too often or asks everybody."""
        if now < self._storm_until:
            self.at_least(STORM_SPREAD_S * self._jitter())
        self._at_once = True

    def wait_s(self) -> float:
        """Return the seconds until the next dial, and count this failure."""
        if self._failures:
            wait_s = self._backoff.next()
        elif self._at_once:
            wait_s = 0.0
        else:
            wait_s = self._jitter()
        wait_s = max(wait_s, self._floor_s)
        self._failures += 1
        self._floor_s = 0.0
        self._at_once = False
        return wait_s

    # Where

    def url(self, known: Known | None, now: float) -> str | None:
        """Return the resume address to dial now, or None for the one to identify at."""
        self.attempt += 1
        self._alternative = known.resume_url if known is not None else None
        shunned = self._alternative is None or self._shunned.get(self._alternative, now) > now
        self._dialed = None if shunned else self._alternative
        return self._dialed

    def greeted(self) -> str | None:
        """Hello came; return the resume address that is now known to be at fault, since another one works."""
        self._doubts = 0
        suspect, self._suspect = self._suspect, None
        blind, self._blind = self._blind, False
        if blind and self._alternative is not None:
            self._shunned.pop(self._alternative, None)
        return None if blind or self._dialed is not None else suspect

    def host_failed(self, now: float) -> None:
        """The address just dialed is of no use: try the other one next."""
        self._doubts = 0
        if self._dialed is not None:
            self._shunned[self._dialed] = now + SHUN_S
            self._suspect = self._dialed
        elif self._alternative is not None:
            self._shunned.pop(self._alternative, None)
            self._blind = True

    def host_spoiled_greeting(self, now: float) -> None:
        """The address just dialed sent us away, or talked nonsense, before Hello: twice is a failure."""
        self._doubts += 1
        if self._doubts >= DOUBTS:
            self.host_failed(now)

    def told(self, bad_hosts: Mapping[str, float], storm_until: float) -> None:
        """Take what other shards found: resume addresses to leave alone, and until when many reconnect."""
        self._shunned.update(bad_hosts)
        if self._at_once and storm_until > self._storm_until:  # the others were asked along with us
            self.at_least(STORM_SPREAD_S * self._jitter())
        self._storm_until = storm_until
