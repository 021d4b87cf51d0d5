"""What the answer to a post means (pure)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

TRIES: Final = 5
"""Of one message, before it is given up."""

MAX_WAIT_S: Final = 300.0
"""Longest wait that an answer may ask for."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """It was taken."""


@dataclass(frozen=True, slots=True)
class Again:
    """Worth another try; `after_s` is what the answer asks for, None: nothing."""

    why: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Hopeless:
    """The same message would be refused again."""

    why: str


def judge(status: int | None, retry_after: str | None, error: str = "") -> Arrived | Again | Hopeless:
    """Return what an answer means.

    Args:
        status: of HTTP; None: there was no answer.
        retry_after: that header, in seconds.
        error: why there was no answer.
    """
    if status is None:
        return Again(error)
    if 200 <= status < 300:
        return Arrived()
    if status == 429:
        return Again("status 429", _seconds(retry_after))
    if status >= 500 or status == 408:
        return Again(f"status {status}")
    return Hopeless(f"status {status}")


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return min(MAX_WAIT_S, max(0.0, seconds)) if math.isfinite(seconds) else None
