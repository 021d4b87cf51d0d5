"""The `gwcluster` command (does): finds the subcommand that was asked for and imports nothing else."""

from __future__ import annotations

from typing import Final

import click

from gwcluster.cli.lazy import LazyGroup
from gwcluster.errors import GwclusterError
from gwcluster.wire.exits import Exit

COMMANDS: Final = {
    "run": "Run a cluster in the foreground.",
    "plan": "Say what a start would cost, and whether it may happen.",
    "status": "Tell how each shard is.",
    "top": "The same, live.",
    "restart": "Restart workers, without an identify.",
    "drain": "Hand this host's shards to other hosts, without an identify.",
    "send": "Have a gateway command sent to Discord.",
    "tail": "Print events as they come.",
    "log": "Check or print the logs of shards, offline.",
    "check": "Validate a configuration file.",
    "keygen": "Make the cluster's keys, or a client's.",
    "schema": "Print the JSON Schema of the configuration file.",
    "version": "Print the versions of gwcluster and of what it runs on.",
}
"""Each command and its line in `--help`; its module here has the same name and holds it as `command`."""


class Commands(LazyGroup):
    """All commands."""

    package = "gwcluster.cli"
    lines = COMMANDS

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error of ours is printed to stderr and becomes an exit status."""
        try:
            return super().invoke(ctx)
        except GwclusterError as error:
            click.echo(str(error), err=True)
            ctx.exit(_status(error))


def _status(error: GwclusterError) -> Exit:
    from gwcluster.config import ConfigError  # where one was raised, this costs nothing

    return Exit.BAD_CONFIG if isinstance(error, ConfigError) else Exit.FAILED


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Hold a large Discord bot's gateway connections, so that the bot itself may come and go.

    Exit status: 0 done, 1 failed, 2 wrong usage, 64 refused by Discord, 78 bad configuration.
    """
