"""`gwcluster version` (does): what is running here, for a bug report."""

from __future__ import annotations

import platform
from importlib import metadata

import click
import zmq


@click.command()
def command() -> None:
    """Print the versions of gwcluster and of what it runs on."""
    click.echo(f"gwcluster {metadata.version('gwcluster')}")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    click.echo(f"{python}, pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}")
