"""What nursery and workers get of our environment (pure)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

OURS: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
"""systemd means them for the coordinator alone: whoever has the socket could speak for us."""


def passed_on(environ: Mapping[str, str], secrets: Collection[str]) -> dict[str, str]:
    """Return an environment for other processes, without what is ours alone or holds one of the secrets."""
    return {
        key: value
        for key, value in environ.items()
        if key not in OURS and not any(secret in value for secret in secrets)
    }
