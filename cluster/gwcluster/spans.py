"""Lengths of time in words (pure)."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Return a length of time as people say it: `40 s`, `5 min`, `5 min 20 s`, `22 h 58 min`; never negative."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
