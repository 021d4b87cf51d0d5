"""Does: finds scenarios: those that come with the simulator, by name, and others by path."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from gwsimulator.scenario import Scenario
from gwsimulator.scenario_file import parse
from gwsimulator.scenario_tree import MAX_BYTES, ScenarioError


def names() -> list[str]:
    """Return the names of the scenarios that come with the simulator."""
    here = resources.files("gwsimulator") / "scenarios"
    return sorted(one.name.removesuffix(".yaml") for one in here.iterdir() if one.name.endswith(".yaml"))


def shipped() -> Iterator[Scenario]:
    """Give the scenarios that come with the simulator."""
    for name in names():
        yield load(name)


def load(wanted: str) -> Scenario:
    """Return a scenario by its name, or by the path of its file.

    Raises:
        ScenarioError: there is none, or it can't be played; print its text.
    """
    if wanted in names():
        file = resources.files("gwsimulator") / "scenarios" / f"{wanted}.yaml"
        return parse(file.read_text(encoding="utf-8"), wanted, f"{wanted}.yaml")
    path = Path(wanted)
    if not path.suffix and not path.exists():
        near = difflib.get_close_matches(wanted, names(), 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}"
        raise ScenarioError([f"{wanted:.80}: no scenario and no file has this name; {hint}"])
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ScenarioError([f"{wanted:.80}: {error.strerror}"]) from error
    if len(content) > MAX_BYTES:
        raise ScenarioError([f"{wanted:.80}: is larger than {MAX_BYTES // 1024} KiB"])
    try:
        return parse(content.decode(), path.stem, wanted)
    except UnicodeDecodeError as error:
        raise ScenarioError([f"{wanted:.80}: is not UTF-8 from byte {error.start} on"]) from error
