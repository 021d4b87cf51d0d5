"""`gwcluster log` (does): looks into shards' logs on the disk, whether a cluster runs or not."""

from __future__ import annotations

import importlib
from typing import Final

import click

_COMMANDS: Final = {
    "verify": "Say whether logs are whole, and what it means if not.",
    "dump": "Print what is in logs.",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        found = importlib.import_module(f"gwcluster.cli.log.{cmd_name}").command
        assert isinstance(found, click.Command), f"gwcluster.cli.log.{cmd_name}.command is no command"
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands)
def command() -> None:
    """Check or print the logs of shards.

    Nothing is changed, and a cluster may run meanwhile.
    """
