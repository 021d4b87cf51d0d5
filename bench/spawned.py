"""A process of the harness's own, at the other end of a pipe (does)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import SpawnContext
from types import TracebackType
from typing import Any, Final, Self

CONTEXT: Final[SpawnContext] = multiprocessing.get_context("spawn")


class Spawned:
    """Runs a function with its end of the pipe as the last argument. Use as a context manager.

    Args:
        who: it is, for an error.
        run: what it does.
        args: what it gets before the pipe.
    """

    def __init__(self, who: str, run: Callable[..., None], *args: object) -> None:
        self._who = who
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=run, args=(*args, theirs), daemon=True)
        self._process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.kill()
        self._process.join()

    def _hear(self, seconds: float) -> Any:
        """Wait for what it says next.

        Raises:
            TimeoutError: it said nothing.
        """
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"the {self._who} process doesn't answer")
        return self._pipe.recv()
