"""The option `--key` (does): with which key a command asks a cluster that wants one."""

from __future__ import annotations

from pathlib import Path

import click

from gwcluster.client.keys import KEY_VARIABLE

key_option = click.option(
    "--key",
    type=click.Path(path_type=Path),
    envvar=KEY_VARIABLE,
    show_envvar=True,
    help="File of this client's secret key, where the cluster asks for one.",
)
