"""`gwcluster log` (does): looks into shards' logs on the disk, whether a cluster runs or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click

from gwcluster.cli.lazy import LazyGroup


class _Commands(LazyGroup):
    package = "gwcluster.cli.log"
    lines: ClassVar[Mapping[str, str]] = {
        "verify": "Say whether logs are whole, and what it means if not.",
        "dump": "Print what is in logs.",
    }


@click.group(cls=_Commands)
def command() -> None:
    """Check or print the logs of shards.

    Nothing is changed, and a cluster may run meanwhile.
    """
