"""How the command line asks a running cluster (does)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gwcluster.client import BlockingCluster, connect
from gwcluster.errors import GwclusterError


class AskError(GwclusterError):
    """What was asked for can't be; the message says what helps."""


@contextlib.contextmanager
def asking(file: Path) -> Iterator[BlockingCluster]:
    """Connect with the running cluster that a file describes; its token need not be at hand.

    Raises:
        gwcluster.config.ConfigError: the file can't be used.
    """
    with connect(file) as cluster:
        yield cluster
