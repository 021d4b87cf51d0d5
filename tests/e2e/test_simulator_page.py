"""Runs what the page about the simulator shows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pytest

PAGE: Final = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
BLOCKS: Final = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def shown(kind: str) -> list[str]:
    return [text for block, text in BLOCKS if block == kind]


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[IO[str]]:
    """Run a command as long as the block runs, and give what it prints."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout
        finally:
            process.terminate()


def violations(ledger: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in ledger.read_text().splitlines()]
    return [record for record in records if record["kind"] == "violation"]


@pytest.mark.e2e
def test_the_bot_on_the_page_gets_messages_and_leaves_the_violation_on_the_page(tmp_path: Path) -> None:
    (command,) = shown("sh")
    simulator = shlex.split(command.replace("7777", "0"))
    simulator[0] = str(Path(sys.executable).parent / simulator[0])
    with running(simulator, tmp_path) as says:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/api/v10$", says.readline())
        assert found is not None
        bot = shown("python")[0].replace("7777", found[1])
        with running([sys.executable, "-c", bot], tmp_path) as prints:
            for pattern in (r"40 guilds\n", r"\w+ in .+\n"):
                assert any(re.fullmatch(pattern, line) for line in prints)

    (example,) = (json.loads(text) for text in shown("json"))
    found_rules = {(record["rule"], record["shard"]) for record in violations(tmp_path / "ledger.jsonl")}
    assert found_rules == {(example["rule"], example["shard"])}


@pytest.mark.e2e
def test_the_orders_on_the_page_can_be_given() -> None:
    exec(compile(shown("python")[1], "docs/simulator.md", "exec"), {})
