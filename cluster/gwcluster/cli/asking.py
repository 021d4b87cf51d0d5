"""How the command line asks a running cluster (does)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gwcluster.client import BlockingCluster, Connection
from gwcluster.client.addresses import find
from gwcluster.errors import GwclusterError


class AskError(GwclusterError):
    """What was asked for can't be; the message says what helps."""


@contextlib.contextmanager
def asking(file: Path) -> Iterator[BlockingCluster]:
    """Connect with the running cluster that a file describes; its token need not be at hand.

    Of several hosts it is the one of this machine.

    Raises:
        gwcluster.config.ConfigError: the file can't be used.
    """
    with Connection(find(file, None, None, here=True)) as cluster:
        yield cluster
