"""Figures as people read them (pure): short, with a unit, and marked when they are stale."""

from __future__ import annotations

from typing import Final

NOTHING: Final = "-"


def age(seconds: float | None) -> str:
    """Return a span in at most four characters."""
    if seconds is None:
        return NOTHING
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    for limit, unit, letter in ((99.5, 1, "s"), (99.5 * 60, 60, "m"), (47.5 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f}{letter}"
    return f"{seconds / 86400:.0f}d"


def latency(seconds: float | None) -> str:
    """Return the time of a heartbeat's answer."""
    if seconds is None:
        return NOTHING
    return f"{seconds * 1000:.0f}ms" if seconds < 9.9995 else f"{seconds:.0f}s"


def number(count: float | None) -> str:
    """Return a number in at most five characters."""
    if count is None:
        return NOTHING
    if 0 < count < 9.95:
        return f"{count:.1f}".removesuffix(".0")
    if count < 99_999.5:
        return f"{count:.0f}"
    return f"{count / 1e3:.0f}k" if count < 9_999_500 else f"{count / 1e6:.0f}M"


def size(count: float | None) -> str:
    """Return bytes in MiB or GiB."""
    if count is None:
        return NOTHING
    mib = count / (1 << 20)
    return f"{mib:.1f}M" if mib < 999.5 else f"{mib / 1024:.1f}G"


def plain(text: str) -> str:
    """Return text that can't steer a terminal: a reason may quote what others sent."""
    return "".join(each if each.isprintable() else " " for each in text)
