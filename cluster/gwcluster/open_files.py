"""Whether so many shards fit into the open files that the system allows one process (pure)."""

from __future__ import annotations

from typing import Final

from gwcluster.errors import GwclusterError

PER_SHARD: Final = 2
"""In the coordinator: the control channel of a shard's worker, and its connection to the fan-in."""

OTHERS: Final = 64
"""The coordinator takes forty for itself; the rest is for subscribers, and while workers are replaced."""


class OpenFilesError(GwclusterError):
    """The limit of open files is too low for the shards; raise it, for there is no way around."""


def check_open_files(shards: int, limit: int) -> None:
    """Make sure that `shards` fit into a limit of open files, before the first is started.

    Raises:
        OpenFilesError: they don't; it says how many it takes.
    """
    needed = PER_SHARD * shards + OTHERS
    if limit < needed:
        raise OpenFilesError(
            f"{shards} shards need {needed} open files, and the limit is {limit}: raise the hard limit, "
            "with LimitNOFILE in a unit of systemd, else with ulimit -Hn"
        )
