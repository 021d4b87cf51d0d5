"""Times in words (pure)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo


def span(seconds: float) -> str:
    """Return a length of time as people say it: `40 s`, `5 min 20 s`, `22 h 58 min`; never negative."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def moment(wall: float, now: float, zone: tzinfo | None = None) -> str:
    """Return a moment as local time, in UTC, and from now on: `03:12 (01:12 UTC), in 40 min`.

    Args:
        wall: Unix seconds.
        now: Unix seconds.
        zone: of local time; None: this machine's.
    """
    at = datetime.fromtimestamp(wall, UTC)
    local, today = at.astimezone(zone), datetime.fromtimestamp(now, UTC).astimezone(zone)
    form = "%H:%M" if local.date() == today.date() else "%Y-%m-%d %H:%M"
    when = f"in {span(wall - now)}" if wall > now else "now"
    return f"{local.strftime(form)} ({at.strftime(form)} UTC), {when}"
