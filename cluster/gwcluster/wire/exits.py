"""Exit statuses that processes agree on (pure)."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """Exit statuses of `gwcluster`; 64 and 78 are those of sysexits.h that service managers know."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 64
    BAD_CONFIG = 78


class WorkerExit(enum.IntEnum):
    """Exit statuses of one worker, from which the supervisor decides what follows.

    REFUSED concerns the whole cluster (bad token, intents, API version), SHARD_REFUSED this shard
    alone; neither is ever retried. BUSY: another process holds the shard's log. ORPHANED: the
    coordinator is gone. UNLEASED: this host's lease on the shard is about to end. FENCED: another
    host writes the shard's log by now.
    """

    DONE = 0
    FAILED = 1
    REFUSED = 64
    SHARD_REFUSED = 65
    BUSY = 75
    ORPHANED = 76
    UNLEASED = 77
    FENCED = 79
