"""Results, tables, goals and the picture say what was measured, and no number where nothing was."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from bench import table
from bench.goals import GOALS
from bench.picture import picture
from bench.results import Results

TITLES = {"gwcluster": "gwcluster", "hikari": "hikari", "discordjs": "@discordjs/ws"}


@pytest.fixture
def results() -> Results:
    found = Results(about={"date": "2026-01-01"})
    ours = found.cell("cost", "chat, zlib-stream", "gwcluster")
    for run in (10.0, 12.0, 11.0):
        ours.take({"all": run, "workers": run - 3, "coordinator": 3.0, "rate": 9_900.0}, [])
    found.cell("cost", "chat, zlib-stream", "hikari").take({"all": 33.0, "rate": 4_009.0}, [])
    found.cell("cost", "chat, zlib-stream", "discordjs").take({"all": 22.0, "rate": 10_000.0}, [])
    found.cell("cost", "chat, zlib-stream", "cloudstorm").take({"all": 40.0, "rate": 10_000.0}, [])
    found.cell("cost", "chat, zstd-stream", "discordjs").take({}, [], "no zstd-stream")
    found.cell("cost", "chat, zstd-stream", "gwcluster").take({"all": 9.0, "rate": 9_900.0}, [])
    return found


def rows(lines: list[str]) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {first: rest for first, *rest in cells}


def test_a_cell_has_the_median_the_extremes_and_the_ratio_to_ours(results: Results) -> None:
    found = rows(table.measure_table(results, "cost", list(TITLES), TITLES))
    assert found["chat, zlib-stream: µs"] == [
        "11.0 (10.0–12.0)",
        "33.0 ×3 [took 4,009/s]",
        "22.0 ×2",
    ]
    assert found["chat, zlib-stream: of it worker"] == ["8.00 (7.00–9.00)", "", ""]


def test_a_cell_says_what_a_program_cannot(results: Results) -> None:
    found = rows(table.measure_table(results, "cost", list(TITLES), TITLES))
    assert found["chat, zstd-stream: µs"] == ["9.00", "", "no zstd-stream"]


def test_a_rate_at_the_searchs_end_may_be_higher(results: Results) -> None:
    results.cell("rate", "chat, zlib-stream", "gwcluster").take({"rate": 100_000.0, "more": 1.0}, [])
    found = rows(table.measure_table(results, "rate", ["gwcluster"], TITLES))
    assert found["chat, zlib-stream: events/s"] == ["100,000 [or more: nothing higher was tried]"]


def test_the_senders_share_is_shown_without_a_ratio(results: Results) -> None:
    for name in ("gwcluster", "hikari"):
        results.cell("load", "chat, zlib-stream", name).take({"all": 10.0, "sender": 3.0}, [])
    found = rows(table.measure_table(results, "load", ["gwcluster", "hikari"], TITLES))
    assert found["chat, zlib-stream: sender, % of a processor"] == ["3.00", "3.00"]


def test_a_run_that_lost_an_event_gives_no_number(results: Results) -> None:
    cell = results.cell("latency", "2,000 events/s", "hikari")
    cell.take({"p50": 0.1}, ["lost 1 of 4,096 events"])
    assert cell.runs == []
    results.cell("latency", "2,000 events/s", "gwcluster").take({"p50": 0.2}, [])
    found = rows(table.measure_table(results, "latency", ["gwcluster", "hikari"], TITLES))
    assert found["2,000 events/s: ms, half"] == ["0.20", "lost 1 of 4,096 events"]
    cell.take({"p50": 0.3}, [])
    found = rows(table.measure_table(results, "latency", ["gwcluster", "hikari"], TITLES))
    assert found["2,000 events/s: ms, half"][1] == "0.30 ×1.5 [1 runs not counted: lost 1 of 4,096 events]"


def test_results_are_the_same_after_being_written_and_read(results: Results) -> None:
    read = Results.from_json(json.loads(json.dumps(results.to_json())))
    assert read == results
    assert table.everything(read, TITLES) == table.everything(results, TITLES)


def test_what_was_measured_again_takes_the_place_of_the_old_and_nothing_else_does(results: Results) -> None:
    results.about["versions"] = {"gwcluster": "1", "hikari": "1"}
    newer = Results(about={"date": "2026-02-02", "versions": {"hikari": "2"}})
    newer.cell("cost", "chat, zlib-stream", "hikari").take({"all": 30.0, "rate": 10_000.0}, [])
    merged = results.replaced_by(newer)
    assert merged.about == {"date": "2026-02-02", "versions": {"gwcluster": "1", "hikari": "2"}}
    assert merged.median("cost", "chat, zlib-stream", "hikari", "all") == 30.0
    assert merged.median("cost", "chat, zlib-stream", "gwcluster", "all") == 11.0


def test_goals_are_reached_missed_or_not_measured(results: Results) -> None:
    found = rows(table.goals_table(results))
    assert found["CPU of the worker for an event at full rate"] == ["≤ 12 µs", "8.00", "ok"]
    assert found["CPU for an event at full rate, over that of the fastest in Python"][1:] == ["0.33", "ok"]
    assert found["CPU for an event at full rate, over that of the fastest in Node"][1:] == ["0.50", "ok"]
    assert found["PSS of an idle worker, 64 shards"][1:] == ["", "not measured"]
    results.cell("cost", "chat, zlib-stream", "gwcluster").take({"workers": 90.0}, [])
    results.cell("cost", "chat, zlib-stream", "gwcluster").take({"workers": 90.0}, [])
    results.cell("cost", "chat, zlib-stream", "gwcluster").take({"workers": 90.0}, [])
    assert rows(table.goals_table(results))["CPU of the worker for an event at full rate"][2] == "missed"


def test_the_goals_are_those_that_were_set() -> None:
    limits = [(goal.limit, goal.unit) for goal in GOALS]
    assert limits == [
        (12, "µs"),
        (4, "µs"),
        (120, "µs"),
        *[(0.5, "times")] * 4,
        (5, "MB"),
        (6, "MB"),
        (0.5, "ms"),
        (3, "ms"),
        (16.5, "s"),
        (1_000, "ms"),
        (5_000, "ms"),
    ]


def test_columns_of_a_table_are_aligned(results: Results) -> None:
    lines = table.measure_table(results, "cost", list(TITLES), TITLES)
    assert len({len(line) for line in lines}) == 1


def test_the_page_is_changed_between_its_marks_alone() -> None:
    page = f"before\n\n{table.BEGIN}\n\nold\n\n{table.END}\n\nafter\n"
    assert table.written_into(page, ["new"]) == page.replace("old", "new")
    with pytest.raises(ValueError, match="the page needs"):
        table.written_into("no marks", ["new"])


def test_the_picture_has_a_bar_for_each_program_as_long_as_its_figure(results: Results) -> None:
    drawn = ElementTree.fromstring(picture(results, TITLES))
    space = "{http://www.w3.org/2000/svg}"
    bars = {bar.get("class"): float(bar.get("width", "")) for bar in drawn.iter(f"{space}rect")}
    assert bars["bar"] / bars["ours"] == pytest.approx(2, abs=0.01)
    assert len(list(drawn.iter(f"{space}rect"))) == 3
    assert len([one for one in drawn.iter(f"{space}line") if one.get("class") == "range"]) == 1
    texts = [text.text for text in drawn.iter(f"{space}text") if text.get("class") == "value"]
    assert texts == ["11.0", "33.0", "22.0"]
    assert "prefers-color-scheme: dark" in picture(results, TITLES)


def test_without_figures_there_is_no_panel() -> None:
    assert "<rect" not in picture(Results(), TITLES)
    assert table.measure_table(Results(), "cost", list(TITLES), TITLES) == []
