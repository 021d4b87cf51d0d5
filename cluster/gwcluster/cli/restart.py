"""`gwcluster restart FILE` (does): new workers, whose shards resume."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click

from gwcluster.cli.asking import AskError, asking
from gwcluster.cli.chosen import is_ready
from gwcluster.client import BlockingCluster, RestartRefused

LOOK_S: Final = 0.25
BOUND_S: Final = 60.0
"""How long to wait for one shard, or for the next of a rolling restart; the cluster's own bound is 30 s."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--shard", type=click.IntRange(0), help="This shard's, also out of backoff or failure.")
@click.option("--rolling", is_flag=True, help="One after the other, with the code installed now.")
@click.option("--all", "every", is_flag=True, help="All of them, over two seconds.")
@click.option("--no-wait", is_flag=True, help="Don't wait until the shards are live again.")
def command(file: Path, shard: int | None, rolling: bool, every: bool, no_wait: bool) -> None:
    """Restart workers of the running cluster that FILE describes. Live sessions are resumed: no identify.

    To run new code, install it and use --rolling: a shard's turn comes when the one before is live again, and
    it stops at the first that doesn't come back.
    """
    if (shard is not None) + rolling + every != 1:
        raise click.UsageError("one of --shard, --rolling and --all is needed")
    with asking(file) as cluster:
        before = cluster.status()
        try:
            cluster.restart(shard, rolling=rolling, every=every)
        except RestartRefused as refused:
            raise AskError(f"nothing is restarted: {refused}") from refused
        if no_wait:
            click.echo("begun; `gwcluster status` tells how it goes on")
        elif rolling:
            _roll(cluster, before)
        else:
            _wait(cluster, before, before["ids"] if shard is None else [shard])


def _roll(cluster: BlockingCluster, before: dict[str, Any]) -> None:
    """Wait for the end of a rolling restart, and tell how far it is."""
    started_at = moved_at = time.monotonic()
    told = -1
    while (status := cluster.status())["rolling"] is not None or status["rolled"] == before["rolled"]:
        if (rolling := status["rolling"]) is not None and rolling["done"] != told:
            told, moved_at = rolling["done"], time.monotonic()
            click.echo(f"{told} of {rolling['total']} shards are done")
        if time.monotonic() - moved_at > BOUND_S:
            raise AskError("it doesn't go on; look at `gwcluster status` and at the cluster's log")
        time.sleep(LOOK_S)
    rolled = status["rolled"]
    if rolled["why"] is not None:
        left = rolled["total"] - rolled["done"]
        helps = "correct that, and use --rolling again" if rolled["done"] else "they run the old code"
        raise AskError(
            f"stopped after {rolled['done']} of {rolled['total']} shards: {rolled['why']}. "
            f"{left} shards were not replaced: {helps}"
        )
    click.echo(
        f"all {rolled['total']} shards run on new workers, after {time.monotonic() - started_at:.1f} s"
    )


def _wait(cluster: BlockingCluster, before: dict[str, Any], shards: list[int]) -> None:
    """Wait until these shards are ready by other workers than before."""
    started_at = time.monotonic()
    old = {each["shard"]: each["pid"] for each in before["shard"]}
    while True:
        found = [each for each in cluster.status()["shard"] if each["shard"] in shards]
        left = [each for each in found if not is_ready(each) or each["pid"] == old[each["shard"]]]
        if not left:
            break
        if time.monotonic() - started_at > BOUND_S:
            worst = left[0]
            said = f"shard {worst['shard']} is {worst['state']}: {worst['reason']}"
            raise AskError(f"{len(left)} of {len(shards)} shards are not live after {BOUND_S:.0f} s: {said}")
        time.sleep(LOOK_S)
    who = f"shard {shards[0]} is" if len(shards) == 1 else f"all {len(shards)} shards are"
    click.echo(f"{who} live again, after {time.monotonic() - started_at:.1f} s")
