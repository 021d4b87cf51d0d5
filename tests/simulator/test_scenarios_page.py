"""Holds docs/scenarios.md to the actions and the scenarios that there are."""

import re
from pathlib import Path

from gwsimulator import shelf
from gwsimulator.actions import ACTIONS, Action
from gwsimulator.scenario_file import parse

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()
SCENARIOS, ORDERS = PAGE.split("## A file")


def row(name: str, action: Action) -> str:
    shards = {"each": "yes", "some": "if wanted", "none": ""}[action.shards]
    keys = ", ".join(
        f"**`{key}`**" if argument.required else f"`{key}`" for key, argument in action.arguments.items()
    )
    return f"| `{name}` | {action.says.replace('{who}', 'the shards')} | {shards} | {keys} |"


def test_the_page_has_every_action_with_its_keys_and_no_other() -> None:
    rows = [line for line in ORDERS.splitlines() if line.startswith("| `")]
    assert rows == [row(name, action) for name, action in ACTIONS.items()]


def test_the_page_has_every_scenario_that_comes_along_and_no_other() -> None:
    assert re.findall(r"^\| `([a-z-]+)` \|", SCENARIOS, re.MULTILINE) == shelf.names()


def test_the_file_on_the_page_is_a_scenario() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", ORDERS, re.DOTALL)
    scenario = parse(text, "page", "page.yaml")
    assert [step.at_s for step in scenario.steps] == [30.0, 30.0, 90.0, 100.0]
    assert (scenario.repeat, scenario.lasts_s) == (2, 300.0)
