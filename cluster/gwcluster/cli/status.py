"""`gwcluster status FILE` (does): how each shard is, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click
from rich.console import Console

from gwcluster.cli.asking import asking
from gwcluster.cli.chosen import chosen, ids
from gwcluster.cli.shard_table import headline, table
from gwcluster.wire.notices import ShardState

MANY: Final = 40
"""Shards from which those that are ready are shown in groups."""

Decorated = TypeVar("Decorated", bound=Callable[..., object])


def _ranges(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[range, ...]:
    try:
        return tuple(ids(value) for value in values)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def filters(function: Decorated) -> Decorated:
    """Give a command the options that choose shards."""
    for option in (
        click.option("--bad", is_flag=True, help="Only those that aren't ready, or are degraded."),
        click.option(
            "--shard",
            "among",
            multiple=True,
            callback=_ranges,
            metavar="0-15",
            help="Only these; repeatable.",
        ),
        click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice([state.value for state in ShardState]),
            help="Only those in this state; repeatable.",
        ),
    ):
        function = option(function)
    return function


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@filters
@click.option("--each", is_flag=True, help="One line for each shard, however many there are.")
@click.option("--json", "as_json", is_flag=True, help="The document that docs/wire.md describes.")
def command(
    file: Path, states: tuple[str, ...], among: tuple[range, ...], bad: bool, each: bool, as_json: bool
) -> None:
    """Tell how the running cluster that FILE describes is.

    Figures with a ? are stale: nobody knows whether they still hold. Of more than 40 shards those that are
    ready are shown in groups, with sums, and with the worst of their ages and latencies.
    """
    with asking(file) as cluster:
        status = cluster.status()
    shown = chosen(status["shard"], states=states, among=among, bad=bad)
    if as_json:
        click.echo(json.dumps({**status, "shard": shown}))
        return
    console = Console(highlight=False)
    console.print(headline(status), soft_wrap=False)
    if shown:
        many = len(shown) > MANY and not each
        console.print(*table(shown, status["now"], width=console.width, grouped=many), sep="\n")
    if len(shown) < len(status["shard"]):
        console.print(f"{len(status['shard']) - len(shown)} more are not shown", style="dim")
