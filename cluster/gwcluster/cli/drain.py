"""`gwcluster drain FILE` (does): this host's shards go to other hosts, one after the other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click

from gwcluster.cli.asking import AskError, asking
from gwcluster.client import DrainRefused

LOOK_S: Final = 0.25
BOUND_S: Final = 60.0
"""How long to wait for the next shard to go."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--no-wait", is_flag=True, help="Don't wait until the last one is gone.")
def command(file: Path, no_wait: bool) -> None:
    """Have the running host that FILE describes hand its shards to the others, before it is stopped.

    One goes after the other, and each session is resumed where it goes: no identify. The host takes no new
    shards until it is started again. Exit status 0: it has none left.
    """
    with asking(file) as cluster:
        try:
            cluster.drain()
        except DrainRefused as refused:
            raise AskError(f"nothing is handed to other hosts: {refused}") from refused
        if no_wait:
            click.echo("begun; `gwcluster status` tells how it goes on")
            return
        started_at = moved_at = time.monotonic()
        told: int | None = None
        while left := _shards(cluster.status()):
            if left != told:
                told, moved_at = left, time.monotonic()
                click.echo(f"{left} shard{'' if left == 1 else 's'} left")
            if time.monotonic() - moved_at > BOUND_S:
                raise AskError(
                    f"{left} shards are left and it doesn't go on; is another host running? "
                    "Look at `gwcluster status` and at the hosts' logs"
                )
            time.sleep(LOOK_S)
        click.echo(f"no shard is left here, after {time.monotonic() - started_at:.1f} s")


def _shards(status: dict[str, Any]) -> int:
    """Return how many shards the asked host has."""
    hosts = status["hosts"]
    assert hosts is not None, "it has just said that it is one of several"
    return len(hosts["leases"])
