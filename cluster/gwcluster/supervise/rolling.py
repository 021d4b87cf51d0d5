"""Which worker a rolling restart replaces next, and why it ends before its end (pure, level-triggered).

One shard at a time, and not before the one before is back. New code that doesn't work so costs one shard
some seconds, and not the bot.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any, Final

BOUND_S: Final = 30.0
"""How long a shard may take to be live again: ten seconds to stop, and a RESUME."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """How far a rolling restart is, or was when it ended.

    Attributes:
        why: why it stopped before its end; None: it didn't.
        at: Unix seconds of that; 0: it goes on.
    """

    done: int
    total: int
    why: str | None = None
    at: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return it as the status tells it; one that goes on has no end to tell of."""
        counts = {"done": self.done, "total": self.total}
        return counts | {"why": self.why, "at": self.at} if self.at else counts


@dataclass(frozen=True, slots=True)
class Look:
    """How the shards are.

    Attributes:
        old: those whose worker is still one of before.
        live: those that are live, by whichever worker.
        failed: those that are given up, with the reason.
        away: those that are another host's to run by now.
    """

    old: Container[int]
    live: Container[int]
    failed: dict[int, str]
    away: Container[int] = ()


class Rolling:
    """One rolling restart; moments are monotonic seconds.

    Args:
        shards: all whose workers are to be replaced, in the order of their turns.
    """

    def __init__(self, shards: Iterable[int]) -> None:
        self._left = list(shards)
        self.total = len(self._left)
        self.proven = False
        """Whether any shard came back live, so that the new code works."""
        self._current: int | None = None
        self._was_live = False
        self._until = float("inf")

    @property
    def done(self) -> int:
        """How many have been replaced."""
        return self.total - len(self._left) - (self._current is not None)

    @property
    def current(self) -> int | None:
        """The shard whose turn it is."""
        return self._current

    @property
    def finished(self) -> bool:
        """Whether all have been replaced."""
        return not self._left and self._current is None

    def step(self, look: Look, now: float, replace: Callable[[int], None]) -> str | None:
        """Go on as far as possible; return why that is no further than this for good, or None.

        Args:
            look: how the shards are.
            now: monotonic seconds.
            replace: has the worker of a shard replaced.
        """
        if (shard := self._current) is not None:
            if shard in look.failed:
                return f"shard {shard} failed: {look.failed[shard]}"
            if shard not in look.away and (shard in look.old or (self._was_live and shard not in look.live)):
                if now >= self._until:
                    return f"shard {shard} was not live again within {BOUND_S:.0f} s"
                return None
            self.proven = self.proven or shard in look.live
            self._current = None
        while self._left:
            shard = self._left.pop(0)
            if shard in look.away:
                continue
            if shard in look.old:  # else it died meanwhile, and its successor is a new one already
                self._current, self._was_live, self._until = shard, shard in look.live, now + BOUND_S
                replace(shard)
                break
        return None

    @property
    def due(self) -> float | None:
        """When to look although nothing happened; None: there is nothing to wait for."""
        return None if self._current is None else self._until
