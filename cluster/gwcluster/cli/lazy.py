"""A group of commands that are imported when they are used (does), each from a module of its name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """To be derived from.

    Attributes:
        package: where the modules are; each holds its command as `command`.
        lines: each command and its line in `--help`.
    """

    package: ClassVar[str]
    lines: ClassVar[Mapping[str, str]]

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands' names in the order of `lines`."""
        return list(self.lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command, None if there is none of that name."""
        if cmd_name not in self.lines:
            return None
        name = f"{self.package}.{cmd_name}"
        command = importlib.import_module(name).command
        assert isinstance(command, click.Command), f"{name}.command is no command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines.items()))
