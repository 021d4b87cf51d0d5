from __future__ import annotations

import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gwcluster.cli import COMMANDS, main


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert all(f"  {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert f"Usage: main {name}" in result.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["check"], ["check", "a", "b"], ["version", "--nonsense"]]
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.output


def test_a_command_is_imported_only_when_it_is_used() -> None:
    # Slow imports would be paid by every command, and by every bot that runs one.
    script = (
        "import sys, gwcluster.cli\n"
        "try: gwcluster.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'pydantic', 'ruamel', 'zmq', 'aiohttp', 'rich', 'asyncio', 'gwcluster.config'}\n"
        "print(sorted(slow & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_version_says_what_runs_here() -> None:
    result = CliRunner().invoke(main, ["version"])
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert re.fullmatch(r"gwcluster \d+\.\d+\.\d+", first)
    assert re.fullmatch(r"CPython 3\.\d+\.\d+\S*, pyzmq \d+\.\S+, libzmq 4\.\d+\.\d+", second)
