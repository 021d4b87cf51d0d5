"""How much memory is asked for at once; what a read asks for and gives back costs system calls each time."""

from __future__ import annotations

import tracemalloc


class Room:
    """Looks from `begin` to `most`."""

    def begin(self) -> None:
        tracemalloc.start()

    def most(self) -> int:
        """Return the most bytes that were in use at once; look no more."""
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most
