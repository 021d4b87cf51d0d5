"""Decides (pure): the tables, in Markdown that also reads well in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.figures import Spread
from bench.goals import GOALS
from bench.plan import EVENTS_PER_S, MEASURES
from bench.results import Cell, Results

BEGIN: Final = "<!-- measured: scripts/bench draw writes from here -->"
END: Final = "<!-- to here -->"


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure to show."""

    name: str
    title: str


SHOWN: Final[dict[str, tuple[Shown, ...]]] = {
    "cost": (
        Shown("all", "µs"),
        Shown("workers", "of it worker"),
        Shown("coordinator", "of it coordinator"),
        Shown("sender", "sender, % of a processor"),
    ),
    "load": (
        Shown("all", "µs"),
        Shown("workers", "of it workers"),
        Shown("coordinator", "of it coordinator"),
        Shown("sender", "sender, % of a processor"),
    ),
    "rate": (Shown("rate", "events/s"),),
    "memory": (Shown("shard", "MiB a shard"), Shown("worker", "of it a worker"), Shown("all", "MiB in all")),
    "latency": (Shown("p50", "ms, half"), Shown("p99", "ms, 99 %"), Shown("p99.9", "ms, 99.9 %")),
    "start": (Shown("seconds", "s"), Shown("over", "s over the least possible")),
    "recovery": (Shown("p50", "ms, half"), Shown("p99", "ms, 99 %")),
}


def number(value: float) -> str:
    """Return three digits, more where there are thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def shown(found: Spread, ours: Spread | None) -> str:
    """Return the median, from the least to the greatest if there are several runs, and the ratio to ours."""
    text = number(found.median)
    if found.runs > 1:
        text += f" ({number(found.low)}–{number(found.high)})"
    if ours is not None and ours.median:
        text += f" ×{found.median / ours.median:.2g}" if found.median / ours.median < 100 else " ×100+"
    return text


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table with columns as wide as they need."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"

    return [line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)]


def measure_table(
    results: Results, measure: str, programs: Sequence[str], titles: dict[str, str]
) -> list[str]:
    """Return a measure's table: a row for each row and figure, a column for each program."""
    rows = []
    for row in results.rows(measure):
        for figure in SHOWN[measure]:
            cells = [_cell(results, measure, row, program, figure) for program in programs]
            if any(cells):
                rows.append([f"{row}: {figure.title}", *cells])
    return table([MEASURES[measure], *(titles[program] for program in programs)], rows) if rows else []


def _cell(results: Results, measure: str, row: str, program: str, figure: Shown) -> str:
    cell = results.get(measure, row, program)
    if cell is None:
        return ""
    is_first = figure == SHOWN[measure][0]
    if cell.cannot:
        return cell.cannot if is_first else ""
    found = cell.spread(figure.name)
    if found is None:
        return "; ".join(dict.fromkeys(cell.problems)) if is_first else ""
    ours = (
        None if program == "gwcluster" or figure.name == "sender" else results.get(measure, row, "gwcluster")
    )
    text = shown(found, ours.spread(figure.name) if ours else None)
    return text + (_notes(cell) if is_first else "")


def _notes(cell: Cell) -> str:
    """Say what else has to be known: runs that failed, and a rate that wasn't reached."""
    notes = []
    if cell.problems:
        notes.append(f"{len(cell.problems)} runs not counted: {cell.problems[0]}")
    rate = cell.spread("rate")
    wanted = EVENTS_PER_S.get(cell.row.partition(",")[0])
    if cell.measure == "cost" and rate and wanted and rate.median < 0.9 * wanted:
        notes.append(f"took {rate.median:,.0f}/s")
    if cell.spread("more"):
        notes.append("or more: nothing higher was tried")
    return f" [{'; '.join(notes)}]" if notes else ""


def goals_table(results: Results) -> list[str]:
    """Return what of the goals was reached."""
    rows = []
    for goal in GOALS:
        verdict, found = goal.verdict(results)
        rows.append(
            [goal.what, f"≤ {goal.limit:g} {goal.unit}", number(found) if found is not None else "", verdict]
        )
    return table(["goal", "limit", "measured", ""], rows)


def everything(results: Results, titles: dict[str, str]) -> list[str]:
    """Return all tables that there is something in."""
    programs = [name for name in titles if any(program == name for _, _, program in results.cells)]
    lines: list[str] = []
    for measure in MEASURES:
        if shown_ := measure_table(results, measure, programs, titles):
            lines += [*shown_, ""]
    return [*lines, *goals_table(results)]


def written_into(page: str, lines: Sequence[str]) -> str:
    """Return the page with what is between its two marks replaced.

    Raises:
        ValueError: the page hasn't both marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs {BEGIN} and {END}")
    return "\n".join([before + begin, "", *lines, "", end + after])
