"""Of several things that may happen, only the first one does: an answer, or that there was none."""

from __future__ import annotations

from collections.abc import Callable


def first_of() -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Return what makes calls of which only the one that is made first does anything."""
    happened = False

    def one_of(then: Callable[[], None]) -> Callable[[], None]:
        def once() -> None:
            nonlocal happened
            if not happened:
                happened = True
                then()

        return once

    return one_of
