"""Every test that has a Discord looks at its end whether everybody kept to the rules, or says why not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent

OPENS: Final = frozenset({"in_thread", "Simulator", "Gateway", "play", "Rig"})
"""What begins a simulator without judging it; `stage`, `discord` and `Lean` do."""

OWN: Final = {
    "chaos/test_findings.py": "has no cluster: what is counted is made up",
    "chaos/test_relays.py": "has no cluster: two clients break a rule together, to see it noticed",
    "e2e/test_real_clients.py": "asks for the invariants itself: libraries publish nothing to compare",
}

THE_SIMULATOR: Final = "simulator/"
"""Tests of the simulator itself: they are its clients, and break each rule to see it noticed."""


def opened(file: Path) -> Iterator[str]:
    """Give the names by which a file begins a simulator without a verdict."""
    if not any(name in (text := file.read_text()) for name in ("gwsimulator", "support.sim_")):
        return
    tree = ast.parse(text)
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith(("gwsimulator", "support.sim_"))
        for alias in node.names
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in OPENS & imported:
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id="gwsimulator"), attr=name)) if name in OPENS:
                yield name


def test_every_discord_in_a_test_is_judged() -> None:
    files = {str(file.relative_to(TESTS)): file for file in TESTS.rglob("test_*.py")}
    unjudged = {
        name for name, file in files.items() if not name.startswith(THE_SIMULATOR) and any(opened(file))
    }
    assert unjudged == OWN.keys()


def test_what_is_unjudged_asks_for_the_invariants() -> None:
    assert "broken(sim.ledger, settings" in (TESTS / "e2e" / "test_real_clients.py").read_text()


EXCUSED: Final = {
    "e2e/test_dashboard.py": {"I7"},  # a worker is stopped, to see that its shard isn't shown as good
    "e2e/test_disk_trouble.py": {"I7", "I8"},  # a log that can't be written, or that is gone
    "examples/test_discordpy_feed.py": {"I8"},  # logs that expire soon, and removed ones
    "faults/test_dials.py": {"I5"},  # there is no resume host that could be named
    "faults/test_events.py": {"I8"},  # two clusters on one Discord
    "faults/test_greetings.py": {"I7"},  # it goes by the first Hello; a second one told a longer interval
    "faults/test_heartbeat_processes.py": {"I7"},  # the client is stopped
    "faults/test_identify.py": {"I1"},  # a stranger identifies with the same token
    "faults/test_identify_budget.py": {"I2"},  # a stranger spends the day
    "faults/test_knobs.py": {"I7"},  # as in test_greetings.py
    "faults/test_resume.py": {"I7"},  # what drips for a minute counts as delivered at once
}


def test_only_these_invariants_are_excused_anywhere() -> None:
    found: dict[str, set[str]] = {}
    for file in TESTS.rglob("test_*.py"):
        name = str(file.relative_to(TESTS))
        if (
            name.startswith(THE_SIMULATOR)
            or file == Path(__file__)
            or "excused" not in (text := file.read_text())
        ):
            continue
        constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
        numbers = {str(one) for one in constants if re.fullmatch(r"I[0-9]+", str(one))}
        if numbers:
            found[name] = numbers
    assert found == EXCUSED
