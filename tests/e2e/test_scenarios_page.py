"""Rehearses an outage as the page about scenarios shows it, but for a scenario that is over soon."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.cluster import until

PAGE: Final = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text().partition("## A file")[0]

SCENARIO: Final = """
about: All shards are asked to reconnect.
settings: {shards: 2, max_concurrency: 2}
steps:
  - {after: 100ms, do: op7, shards: all}
"""


def shown(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.e2e
def test_the_commands_and_the_file_on_the_page_rehearse_an_outage(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "soon.yaml").write_text(SCENARIO)
    state = tmp_path_factory.mktemp("s")  # short: the path of a socket in it has at most 107 bytes
    environ = {**os.environ, "XDG_STATE_HOME": str(state)}
    simulator, cluster = (shlex.split(command) for command in shown("sh"))
    for command in (simulator, cluster):
        command[0] = str(Path(sys.executable).parent / command[0])
    simulator[simulator.index("7777")] = "0"
    simulator[simulator.index("outage")] = "soon.yaml"
    said, log = tmp_path / "said", tmp_path / "log"
    with (
        said.open("w") as says,
        log.open("w") as logs,
        subprocess.Popen(simulator, cwd=tmp_path, stdout=subprocess.PIPE, stderr=says, text=True) as discord,
    ):
        try:
            assert discord.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)/api/v10$", discord.stdout.readline())
            assert found is not None
            (config,) = shown("yaml")
            config = config.replace("7777", found[1])
            config = re.sub(r"tcp://127\.0\.0\.1:(\d+)", rf"ipc://{tmp_path}/\1", config)
            (tmp_path / "rehearsal.yaml").write_text(config)
            with subprocess.Popen(cluster, cwd=tmp_path, env=environ, stdout=logs, stderr=logs) as run:
                try:
                    until(lambda: "soon is over" in said.read_text(), "the scenario's end")
                    until(lambda: log.read_text().count("RESUMED after") == 2, "two resumed sessions")
                finally:
                    run.terminate()
        finally:
            discord.terminate()
    assert run.returncode == 0, log.read_text()
    assert re.search(r"resumes +2: 2 resumed\n", said.read_text()), said.read_text()
    assert re.search(r"violations +0\n", said.read_text()), said.read_text()
