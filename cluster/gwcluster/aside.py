"""Runs what may hang beside everything else (does)."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Aside:
    """Runs one piece of work at a time in a thread that nobody waits for, not even the end of the process."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], None]) -> bool:
        """Begin `work`, unless the last one still runs; say whether it has begun."""
        if self._thread is not None and self._thread.is_alive():
            return False
        self._thread = threading.Thread(target=work, name="aside", daemon=True)
        self._thread.start()
        return True
