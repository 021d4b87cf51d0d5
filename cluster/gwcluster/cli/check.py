"""`gwcluster check FILE` (does): every error of a configuration file at once, or what it sets up."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gwcluster.config import Config, load
from gwcluster.discord import INTENTS


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Validate FILE, a cluster.yaml.

    Prints what it sets up and exits with 0; or prints everything that is wrong with it, each with line,
    key and remedy, and exits with 78.
    """
    config = load(file, environ=os.environ)
    click.echo(f"{file}: ok")
    click.echo(summary(config))


def summary(config: Config) -> str:
    """Return one line that says what a configuration sets up."""
    count, ids = config.shards.count, config.shards.ids
    shards = "as many shards as Discord recommends" if count is None else f"{count} shards"
    if ids is not None:
        shards = f"{len(ids)} of {shards}"
    intents = ", ".join(name for name, bit in INTENTS.items() if config.intents & bit) or "none"
    places = {
        "events": ", ".join(config.events.bind),
        "requests": ", ".join(config.requests.bind),
        "http": config.http.bind or "none",
        "state": str(config.state),
    }
    if config.hosts is not None:
        places["host"] = f"{config.hosts.name} of several at {', '.join(config.hosts.login.servers)}"
    where = "; ".join(f"{what} {place}" for what, place in places.items())
    return f"{config.name}: {shards}; intents {intents}; {where}"
