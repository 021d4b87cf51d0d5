"""The page about performance says what was measured, and the picture shows it."""

from __future__ import annotations

import json

import pytest

from bench import table
from bench.__main__ import PAGE, PICTURE, RESULTS, TITLES, page_lines
from bench.picture import PANELS, picture
from bench.results import Results


@pytest.fixture(scope="module")
def results() -> Results:
    return Results.from_json(json.loads(RESULTS.read_text()))


def test_the_tables_are_drawn_from_the_results(results: Results) -> None:
    drawn = table.written_into(PAGE.read_text(), page_lines(results))
    assert PAGE.read_text() == drawn, "run scripts/bench draw"


def test_the_picture_is_drawn_from_the_results(results: Results) -> None:
    assert PICTURE.read_text() == picture(results, TITLES), "run scripts/bench draw"


def test_every_program_and_every_panel_has_been_measured(results: Results) -> None:
    assert {program for _, _, program in results.cells} == TITLES.keys()
    for panel in PANELS:
        assert panel.found(results, "gwcluster"), panel.title


def test_the_page_says_how_each_program_is_tuned() -> None:
    page = PAGE.read_text()
    for name, title in TITLES.items():
        assert f"\n| {title.partition(',')[0]} |" in page, name
