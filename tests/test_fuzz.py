"""A few cases of each target of `scripts/fuzz`, always the same ones."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

from fuzz.cases import Finding, Target, cases, play
from fuzz.targets import TARGETS
from fuzz.watch import fuzz

COUNTS = {
    "inflate": 300,
    "scan": 500,
    "session": 500,
    "wire": 1000,
    "log": 120,
    "gateway_link": 500,
    "rest": 2000,
    "commands": 300,
    "requests": 200,
}


def test_each_target_has_its_share() -> None:
    assert COUNTS.keys() == TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_cases_find_nothing(name: str) -> None:
    found = [finding for finding in itertools.islice(cases(TARGETS[name], 1), COUNTS[name]) if finding]
    assert not found, f"{found[0].dice}\n{found[0].details or found[0].what}"


def fails(dice: random.Random) -> None:
    number = dice.randrange(100)
    assert number != 7, f"number {number}"


def test_a_finding_is_found_again_and_says_what_it_was(tmp_path: Path) -> None:
    target = Target("fails", fails)
    finding = next(finding for finding in cases(target, 1) if finding)
    assert "number 7" in finding.what
    assert "number = 7" in finding.details
    again = play(target, finding.dice)
    assert again is not None
    assert (again.what, again.where) == (finding.what, finding.where)
    saved = json.loads(finding.save(tmp_path).read_text("utf-8"))
    assert (saved["target"], saved["dice"]) == ("fails", finding.dice)
    assert saved["replay"].startswith("scripts/fuzz --replay finding-fails-")


def hungry(dice: random.Random) -> None:
    assert len(b"x" * (64 << 20)) > 0


def slow(dice: random.Random) -> None:
    assert sum(range(3_000_000)) > 0


@pytest.mark.parametrize(
    ("target", "what"),
    [
        (Target("hungry", hungry, limit_mib=32), "the process grew by"),
        (Target("slow", slow, limit_s=0.001), "s of CPU; 0.001 s are allowed"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the child only plays cases
def test_too_much_memory_or_time_is_a_finding(target: Target, what: str) -> None:
    ((_, findings),) = fuzz([target], 1, 1.0, 1)  # in a process of its own, whose peak is no other test's
    assert what in findings[0].what


def dies(dice: random.Random) -> None:
    if dice.randrange(5) == 0:
        raise SystemExit(3)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the child only plays cases
def test_a_case_that_ends_its_process_is_found_by_whoever_watches() -> None:
    target = Target("dies", dies)
    ((tally, findings),) = fuzz([target], 1, 5.0, 1)
    assert tally.target == "dies"
    assert [finding.what for finding in findings] == ["the process ended with 3"]
    with pytest.raises(SystemExit):
        play(target, findings[0].dice)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the child only plays cases
def test_findings_of_one_kind_are_told_once() -> None:
    ((_, findings),) = fuzz([Target("fails", fails)], 1, 0.3, 1)
    assert len(findings) == 1
    assert isinstance(findings[0], Finding)
