"""Holds the page about the discord.py bot to what is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "examples" / "discordpy"


def test_its_cluster_is_one_and_so_are_its_commands() -> None:
    page = (FOLDER / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exports, programs = (block.splitlines() for block in blocks)
    environ = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    assert [line.split()[0] for line in programs] == ["gwsimulator", "gwcluster", "python"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "gwcluster", "check", "cluster.yaml"],
        cwd=FOLDER,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_line_that_it_shows_is_the_bot_s() -> None:
    page, bot = (FOLDER / "README.md").read_text(), (FOLDER / "bot.py").read_text()
    (shown,) = re.findall(r"^(gwfeed\.run\(.*\))  #", page, re.MULTILINE)
    assert shown.removesuffix(")") in bot
