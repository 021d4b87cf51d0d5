"""`gwcluster schema` (does): the JSON Schema of the configuration file."""

from __future__ import annotations

import json

import click

from gwcluster.config import json_schema


@click.command()
def command() -> None:
    """Print the JSON Schema of cluster.yaml, for editors and other tools."""
    click.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
