"""A bound on what waits in memory (pure)."""

from __future__ import annotations


class Room:
    """So many bytes, shared by all that wait.

    Attributes:
        free_bytes: what may still come.
    """

    __slots__ = ("free_bytes",)

    def __init__(self, limit_bytes: int) -> None:
        self.free_bytes = limit_bytes

    def take(self, size: int) -> bool:
        """Take so many bytes; say whether there was room."""
        if size > self.free_bytes:
            return False
        self.free_bytes -= size
        return True

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self.free_bytes += size
