"""Calls into the log's disk, and what goes on while one of them doesn't return (does).

The loop appends to the log itself, since handing each event to a thread would cost more than all else that is
done with it. So a disk that hangs holds up the loop, and a second thread has to stand in for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

LOOK_S: Final = 1.0
STUCK_S: Final = 1.0
"""A call that takes longer is stuck: from then on, beats and pulses that are due don't wait for it."""

SYNC_STUCK_S: Final = 5.0
"""A sync may take long on a busy disk, and nothing waits for it."""

log = logging.getLogger(__name__)


class Disk:
    """Marks calls into the log's disk, on one thread, and has another stand in while one is stuck.

        with disk:
            writer.flush()

    Nobody leaves such a block while `look` has something done. So what it does and what the block's thread
    does outside of the block never happen at once, though they touch the same things. Blocks don't nest.

    Args:
        clock: monotonic seconds.

    Attributes:
        roused: called at the beginning of the first block after `rest`.
        stand_in: called with the moment, again and again while a call is stuck, in the thread that looks; it
            must leave the log alone.
        answered: called at the end of a block for which somebody stood in.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.roused: Callable[[], None] | None = None
        self.stand_in: Callable[[float], None] | None = None
        self.answered: Callable[[], None] | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._sync_since: float | None = None
        self._stood_in = False
        self._resting = False  # asked for each block, and cheaper than the event
        self._awake = threading.Event()
        self._awake.set()
        self._stopped = threading.Event()

    def __enter__(self) -> None:
        self._since = self._clock()
        if self._resting:
            self._resting = False
            self._awake.set()
            if self.roused is not None:
                self.roused()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            since, self._since = self._since, None
        if self._stood_in:
            assert since is not None, "a block was left that wasn't entered"
            self._stood_in = False
            log.warning("the log's disk answers again, after %.0f s", self._clock() - since)
            if self.answered is not None:
                self.answered()

    def sync(self, sync: Callable[[], None]) -> None:
        """Run a sync, in whatever thread, and note how long it takes."""
        self._sync_since = self._clock()
        sync()
        self._sync_since = None

    @property
    def silence(self) -> str | None:
        """Words for how long the disk hasn't answered; None: it does."""
        now, since, sync_since = self._clock(), self._since, self._sync_since
        if since is not None and now - since >= STUCK_S:
            return f"the log's disk hasn't answered for {now - since:.0f} s"
        if sync_since is not None and now - sync_since >= SYNC_STUCK_S:
            return f"the log's disk hasn't finished a sync for {now - sync_since:.0f} s"
        return None

    def rest(self) -> None:
        """Nothing is done with the disk for now: the thread that looks may sleep until the next block.

        For the blocks' thread, outside of them.
        """
        assert self._since is None, "the disk is in use"
        self._resting = True
        self._awake.clear()

    def watch(self) -> None:
        """Begin to `look`, in a thread of its own, until `stop`. Whoever forks does so before."""
        threading.Thread(target=self._watch, name="disk", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._awake.set()

    def _watch(self) -> None:
        while self._awake.wait() and not self._stopped.wait(LOOK_S):
            try:
                self.look()
            except Exception:  # whatever it was, the next beat may be sent all the same
                log.exception("bug while the log's disk doesn't answer")

    def look(self) -> None:
        """Have `stand_in` called if a call is stuck. Runs in another thread than the blocks."""
        since = self._since
        if since is None or self._clock() - since < STUCK_S:
            return
        with self._lock:
            if self._since != since:
                return  # it returned in the meantime
            if not self._stood_in:
                log.error("the log's disk doesn't answer; heartbeats go on, events wait at Discord's end")
                self._stood_in = True
            if self.stand_in is not None:
                self.stand_in(self._clock())
