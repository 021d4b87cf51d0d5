from pathlib import Path

import pytest

from gwsimulator import shelf
from gwsimulator.scenario_tree import ScenarioError


def said(wanted: str) -> str:
    with pytest.raises(ScenarioError) as wrong:
        shelf.load(wanted)
    return str(wrong.value)


def test_every_scenario_that_comes_along_can_be_loaded_and_says_what_it_is_about() -> None:
    shipped = list(shelf.shipped())
    assert [scenario.name for scenario in shipped] == shelf.names()
    assert all(scenario.about and scenario.begins == "live" for scenario in shipped)


def test_a_file_is_loaded_by_its_path_and_named_in_problems(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("about: x\nsteps:\n  - say: a\n")
    assert shelf.load(str(file)).name == "mine"
    file.write_text("about: x\nsteps:\n  - sya: a\n")
    assert said(str(file)).startswith(f"{file}:3: steps[0]"[:60])


def test_a_name_that_nothing_has_is_said_with_the_nearest_one() -> None:
    assert said("outag") == "outag: no scenario and no file has this name; did you mean outage?"
    assert "there are half-open, identify-storm," in said("zzz")


def test_a_file_that_is_not_there_too_large_or_no_text_is_said(tmp_path: Path) -> None:
    assert said(str(tmp_path / "a.yaml")).endswith(": No such file or directory")
    assert said(str(tmp_path)).endswith(": Is a directory")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (256 * 1024 + 1))
    assert said(str(large)).endswith(": is larger than 256 KiB")
    large.write_bytes(b"about: \xff")
    assert said(str(large)).endswith(": is not UTF-8 from byte 7 on")
