"""The catalogue of faults is whole: each of them has a test that is named after it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

FAULTS = range(1, 112)

_NAMED = re.compile(r"test_((?:f[0-9]+_)+)")


def named_after(sources: Iterable[str]) -> Mapping[int, list[str]]:
    """Return fault → names of its tests; `test_f86_f90_...` is one of two faults."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for source in sources:
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and (match := _NAMED.match(node.name)):
                for number in re.findall("[0-9]+", match[1]):
                    found[int(number)].append(node.name)
    return found


def sources() -> list[str]:
    return [path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py"))]


def test_every_fault_of_the_catalogue_has_a_test_that_is_named_after_it() -> None:
    found = named_after(sources())
    assert [f"f{fault:02}" for fault in FAULTS if not found.get(fault)] == []


def test_no_test_is_named_after_a_fault_that_there_is_not() -> None:
    assert {
        name for fault, names in named_after(sources()).items() if fault not in FAULTS for name in names
    } == set()


def test_a_name_counts_only_at_the_beginning_of_a_test_function() -> None:
    source = """
def test_f07_f8_and_f9_too(): ...
def helper_f10_of_no_test(): ...
# def test_f11_as_a_comment(): ...
text = "def test_f12_as_text(): ..."
"""
    assert set(named_after([source])) == {7, 8}
