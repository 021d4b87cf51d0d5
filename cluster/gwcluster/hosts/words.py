"""What is wrong between hosts, in words (pure): the same wherever state is shown."""

from __future__ import annotations

from typing import Any, Final

from gwcluster.spans import span

PATIENCE: Final = 1 / 3
"""Of a lease: silence through two renewals is worth a word."""


def is_late(hosts: dict[str, Any]) -> bool:
    """Say whether NATS has been silent for longer than a renewal may take; takes `hosts` of the status."""
    silent_s = hosts["nats"]["unreachable_s"]
    return silent_s is not None and bool(silent_s > PATIENCE * hosts["lease_s"])


def silence(nats: dict[str, Any], *, since: bool = True) -> str | None:
    """Return that NATS doesn't answer and what follows, None: it does.

    Args:
        nats: of `hosts` of the status document.
        since: also for how long; False where that is told beside it.
    """
    if nats["unreachable_s"] is None:
        return None
    lasts = f" for {span(nats['unreachable_s'])}" if since else ""
    why = "" if nats["why"] is None else f" ({nats['why']})"
    return f"NATS has not answered{lasts}{why}: {what_follows(nats['pause_s'])}"


def what_follows(pause_s: float | None) -> str:
    """Return what becomes of this host's shards if NATS stays away.

    Args:
        pause_s: seconds until the first of them lets go of its connection, None: it runs none.
    """
    if pause_s is None:
        return "no shard runs here, and none can be taken"
    if pause_s <= 0:
        return "shards pause; they resume when it is back"
    return f"shards pause in {pause_s:.0f} s"
