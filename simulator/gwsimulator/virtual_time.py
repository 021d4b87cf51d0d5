"""Does: runs coroutines on a clock that jumps to the next timer whenever nothing else is left to do.

Sockets on loopback, tasks and `asyncio.sleep` work as ever, and a day passes in seconds. Give the loop's
`time` to whatever wants a clock, e.g. `Simulator(settings, clock=asyncio.get_running_loop().time)`.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START: Final = 10_000.0
"""Where the clock begins, so that 0.0 is never a plausible moment."""

_SETTLE_S: Final = 0.001
"""Real time that bytes get to cross the loopback before the clock jumps over them."""


class Deadlock(RuntimeError):  # noqa: N818 - it names the state, as asyncio's TimeoutError does
    """No timer is set, no byte is on its way: whatever is awaited will never come."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time` jumps instead of passing."""

    def __init__(self) -> None:
        self._now = START
        self._in_threads = 0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the virtual moment in seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let that much time pass."""
        self._now += seconds

    @property
    def waits_for_threads(self) -> bool:
        """Whether a job runs in a thread, which knows only real time."""
        return self._in_threads > 0

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """See asyncio; the clock stands still until the job is done."""
        self._in_threads += 1
        job = super().run_in_executor(executor, func, *args)
        job.add_done_callback(self._thread_done)
        return job

    def _thread_done(self, _: object) -> None:
        self._in_threads -= 1

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        """See asyncio; it waits for the threads in a thread of its own, so the clock stands still."""
        self._in_threads += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self._in_threads -= 1


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._stirred = True

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            ready = self._wait(timeout)
        self._stirred = self._stirred or bool(ready)
        return ready

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._loop.waits_for_threads:
            return super().select(None)
        if self._stirred:
            self._stirred = False
            if ready := super().select(_SETTLE_S):
                return ready
        if timeout is None:
            raise Deadlock("no timer is set and nothing is on its way")
        self._loop.jump(timeout)
        return []


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a virtual clock that starts at `START`, and return what it returns.

    Raises:
        Deadlock: it awaits something that can't happen any more.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
