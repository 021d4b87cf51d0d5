"""Decides (pure): what measurements gave, as a document that can be added to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from bench.figures import Spread, spread


@dataclass(slots=True)
class Cell:
    """One measurement of one program.

    Attributes:
        row: what of the measurement.
        runs: name → figure, of each run that went well.
        problems: what was wrong with the others.
        cannot: why there is nothing to measure.
    """

    measure: str
    row: str
    program: str
    runs: list[dict[str, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    cannot: str = ""

    def take(self, figures: dict[str, float], problems: list[str], cannot: str = "") -> None:
        """Take in a run. One with a problem is no measurement, whatever its figures are."""
        self.cannot = cannot
        self.problems += problems
        if figures and not problems:
            self.runs.append(figures)

    def spread(self, figure: str) -> Spread | None:
        """Return what the runs gave; None if none went well."""
        values = [run[figure] for run in self.runs if figure in run]
        return spread(values) if values else None


@dataclass(slots=True)
class Results:
    """All cells, in the order of their first run.

    Attributes:
        about: machine, versions, date.
    """

    about: dict[str, Any] = field(default_factory=dict)
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)

    def cell(self, measure: str, row: str, program: str) -> Cell:
        """Return that cell, a new one if there is none."""
        return self.cells.setdefault((measure, row, program), Cell(measure, row, program))

    def get(self, measure: str, row: str, program: str) -> Cell | None:
        """Return that cell."""
        return self.cells.get((measure, row, program))

    def median(self, measure: str, row: str, program: str, figure: str) -> float | None:
        """Return the median of a figure; None if it was not measured."""
        cell = self.get(measure, row, program)
        found = cell.spread(figure) if cell else None
        return found.median if found else None

    def rows(self, measure: str) -> list[str]:
        """Return the rows of a measure, in order."""
        return list(dict.fromkeys(row for name, row, _ in self.cells if name == measure))

    def replaced_by(self, newer: Results) -> Results:
        """Return these with every row of a program that was measured again replaced."""
        versions = {**self.about.get("versions", {}), **newer.about.get("versions", {})}
        return Results({**self.about, **newer.about, "versions": versions}, {**self.cells, **newer.cells})

    def to_json(self) -> dict[str, Any]:
        """Return a document of plain values."""
        cells = [
            {
                "measure": cell.measure,
                "row": cell.row,
                "program": cell.program,
                "runs": [{name: _short(value) for name, value in run.items()} for run in cell.runs],
                **({"problems": cell.problems} if cell.problems else {}),
                **({"cannot": cell.cannot} if cell.cannot else {}),
            }
            for cell in self.cells.values()
        ]
        return {"about": self.about, "cells": cells}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read such a document."""
        cells = [Cell(**cell) for cell in document["cells"]]
        return cls(document["about"], {(cell.measure, cell.row, cell.program): cell for cell in cells})


def _short(value: float) -> float:
    """Return four digits of it, which is more than any measurement is worth."""
    return float(f"{value:.4g}")
