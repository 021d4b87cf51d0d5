"""How long the shard is this host's (does): whoever isn't told of a renewal in time lets go.

The socket is dropped with the process, so no close frame ends the session: the next owner resumes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from gwcluster.wire.control import Leased

LOOK_S: Final = 1.0
"""Between two looks at most: a loop's timers stand still while the machine is suspended."""

log = logging.getLogger(__name__)


class Lease:
    """Watches the moment until which the shard may be run, on the running loop.

    Args:
        clock: seconds that go on while the machine is suspended; see `Leased`.
        ended: called when the moment has come, again and again if it doesn't end the process.
    """

    def __init__(self, *, clock: Callable[[], float], ended: Callable[[], None]) -> None:
        self._clock = clock
        self._ended = ended
        self._stop_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def heard(self, leased: Leased) -> None:
        """Take a renewal; an earlier moment than before counts, too."""
        self._stop_at = leased.stop_at
        self._look()

    def _look(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        assert self._stop_at is not None, "looked at before anything was heard"
        left_s = self._stop_at - self._clock()
        look_s = min(left_s, LOOK_S) if left_s > 0 else LOOK_S
        self._timer = asyncio.get_running_loop().call_later(look_s, self._look)
        if left_s <= 0:
            self._ended()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
