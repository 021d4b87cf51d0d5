"""When each key (shard % max_concurrency) may be identified on again (pure)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SPREAD_S: Final = 0.25
"""Up to so much is added to each window, so that two clusters of one token don't stay in step."""

REFUSAL_S: Final = 5.0
REFUSAL_CAP_S: Final = 60.0


class Windows:
    """The moment at which each key opens. It only ever moves back through what is told here.

    Args:
        window_s: least seconds between two IDENTIFYs of one key.
        jitter: returns evenly distributed numbers from 0.0 to 1.0.
    """

    def __init__(self, *, window_s: float, jitter: Callable[[], float]) -> None:
        self.pace_s = window_s + SPREAD_S / 2
        """Seconds from one IDENTIFY to the next on a busy key, on average."""
        self._window_s = window_s
        self._jitter = jitter
        self._open_at: dict[int, float] = {}
        self._all_open_at = float("-inf")
        self._refusals: dict[int, int] = {}  # in a row

    def opens_at(self, key: int) -> float:
        """Return the monotonic moment from which `key` is open; -inf if nothing ever closed it."""
        return self._open_at.get(key, self._all_open_at)

    def rekey(self) -> None:
        """The keys mean other shards from now on: each opens when the last of the old ones does."""
        self._all_open_at = max([self._all_open_at, *self._open_at.values()])
        self._open_at.clear()
        self._refusals.clear()

    def sent(self, key: int, at: float) -> None:
        """An IDENTIFY was written at monotonic `at`."""
        self._close(key, at + self._window_s)

    def refused(self, key: int, now: float) -> None:
        """An IDENTIFY was answered with op 9: the key stays closed for 5, 10, 20 … 60 s.

        Sources:
            The delay is ours; that op 9 there means a rate limit was said by Discord's staff in
            https://github.com/discord/discord-api-docs/issues/254
        """
        in_a_row = self._refusals.get(key, 0)
        self._refusals[key] = min(in_a_row + 1, 8)
        self._close(key, now + min(REFUSAL_CAP_S, REFUSAL_S * 2**in_a_row))

    def succeeded(self, key: int) -> None:
        """An IDENTIFY was answered with READY: the next refusal is a first one."""
        self._refusals.pop(key, None)

    def _close(self, key: int, until: float) -> None:
        self._open_at[key] = max(self.opens_at(key), until + SPREAD_S * self._jitter())
