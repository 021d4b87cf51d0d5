"""When and where to dial next (pure)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gwcluster.backoff import Backoff

HEALTHY_S: Final = 60.0
"""A connection that was live this long was good: the next retry begins without backoff again."""

BASE_S: Final = 1.0
CAP_S: Final = 60.0


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
    """

    def __init__(self, *, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._backoff = Backoff(base_s=BASE_S, cap_s=CAP_S, jitter=jitter)
        self._failures = 0
        self._floor_s = 0.0
        self._at_once = False
        self._live_since: float | None = None
        self._avoid_resume_host = False

    def live(self, now: float) -> None:
        """The session is live; its host is good."""
        self._live_since = now
        self._avoid_resume_host = False

    def ended(self, now: float) -> None:
        """The connection is over."""
        if self._live_since is not None and now - self._live_since >= HEALTHY_S:
            self._failures = 0
            self._backoff.reset()
        self._live_since = None

    def at_least(self, floor_s: float) -> None:
        """Let the next wait be no shorter than this."""
        self._floor_s = max(self._floor_s, floor_s)

    def at_once(self) -> None:
        """The peer asked for it: don't wait at all, unless it asks too often."""
        self._at_once = True

    def host_failed(self) -> None:
        """The address just dialed is of no use: try the other one next."""
        self._avoid_resume_host = not self._avoid_resume_host

    def forget_host(self) -> None:
        """There is no session any more, so no resume host either."""
        self._avoid_resume_host = False

    def url(self, known: Known | None) -> str | None:
        """Return the resume address to dial, or None for the one to identify at."""
        return None if known is None or self._avoid_resume_host else known.resume_url

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
