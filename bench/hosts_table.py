"""Decides (pure): what logs in NATS cost beside logs in files, as lines of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.figures import percentile

FILES: Final = "files"
"""The mode that others are compared with."""

PARTS: Final = ("workers", "coordinator", "nursery", "NATS", "together")

_LABEL, _CELL = 52, 16


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of each mode.

    Attributes:
        figures: mode → figure; a mode that has none wasn't measured.
        compared: whether the ratio to `FILES` says something.
    """

    label: str
    figures: Mapping[str, float]
    compared: bool = True


def centiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return what half, and 99 %, of some times stay below, in milliseconds; nothing of no times."""
    if not seconds:
        return {}
    return {name: 1000 * percentile(seconds, share) for name, share in (("p50", 0.5), ("p99", 0.99))}


def cpu_us(cpu_s: Mapping[str, float], events: int) -> dict[str, float]:
    """Return µs of CPU for each event, by part and of all together.

    Raises:
        ValueError: there are no events.
    """
    if events < 1:
        raise ValueError("no events")
    parts = {part: 1e6 * used / events for part, used in cpu_s.items()}
    return {**parts, "together": sum(parts.values())}


def for_each(few: Mapping[int, float], places: int = 1) -> float:
    """Return by how much something grows with each more, from what it is with few and with many.

    Raises:
        ValueError: there is only one number of them.
    """
    least, most = min(few), max(few)
    if least == most:
        raise ValueError(f"what it is with {least} alone says nothing of each")
    return round((few[most] - few[least]) / (most - least), places)


def in_order(labels: Iterable[str]) -> list[str]:
    """Return labels by what stands before their colon, each kind where it first came; parts as in `PARTS`."""
    kinds: dict[str, list[str]] = {}
    for label in labels:
        kinds.setdefault(label.partition(": ")[0], []).append(label)
    return [label for each in kinds.values() for label in sorted(each, key=_place)]


def _place(label: str) -> int:
    part = label.partition(": ")[2]
    return PARTS.index(part) if part in PARTS else 0


def lines(title: str, modes: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return a table; in parentheses how many times the figure of `FILES` each is."""
    head = title.ljust(_LABEL) + "".join(mode.rjust(_CELL) for mode in modes)
    return [head, *(_line(row, modes) for row in rows)]


def _line(row: Row, modes: Sequence[str]) -> str:
    cells = (_cell(row, mode).rjust(_CELL) for mode in modes)
    return f"  {row.label}".ljust(_LABEL) + "".join(cells)


def _cell(row: Row, mode: str) -> str:
    figure = row.figures.get(mode)
    if figure is None:
        return "–"
    said = f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}" if figure < 10 else f"{figure:.1f}"
    least = row.figures.get(FILES)
    if mode == FILES or not row.compared or not least:
        return said
    return f"{said} (×{figure / least:.1f})"
