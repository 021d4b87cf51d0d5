"""Decides (pure): the picture of the important figures, as SVG for light and dark pages."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.figures import Spread
from bench.results import Results
from bench.table import number

WIDTH: Final = 860
_LABELS: Final = 190
_VALUES: Final = 150
_BAR: Final = 18
_GAP: Final = 6
_STYLE: Final = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .quiet, .value { fill: #59636e }
  .value { font-size: 12px }
  .bar { fill: #afb8c1 } .ours { fill: #0969da } .range { stroke: #1f2328; stroke-width: 1.2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .quiet, .value { fill: #9198a1 }
    .bar { fill: #4d5560 } .ours { fill: #4493f8 } .range { stroke: #e6edf3 }
  }
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of one figure; less is better in all of them.

    Attributes:
        rows: of a program's rows the first that it has.
    """

    title: str
    unit: str
    measure: str
    rows: tuple[str, ...]
    figure: str

    def found(self, results: Results, program: str) -> Spread | None:
        """Return what a program's bar shows."""
        cells = [cell for row in self.rows if (cell := results.get(self.measure, row, program))]
        return next((spread for cell in cells if (spread := cell.spread(self.figure))), None)


PANELS: Final = (
    Panel("CPU per event, one shard with 10,000 events/s", "µs", "cost", ("chat, zlib-stream",), "all"),
    Panel("CPU per event, 64 shards with 20 events/s each", "µs", "load", ("chat, zlib-stream",), "all"),
    Panel("Memory of a shard, 64 shards, idle", "MiB", "memory", ("64 shards, idle",), "shard"),
    Panel("Latency that 99 % stay below, 2,000 events/s", "ms", "latency", ("2,000 events/s",), "p99"),
    Panel(
        "After SIGKILL: gwcluster resumes, the others have lost the session and identify",
        "ms",
        "recovery",
        ("a worker", "the whole program, 1 shard"),
        "p50",
    ),
)


def picture(results: Results, titles: dict[str, str]) -> str:
    """Return the SVG: for each panel a bar for each program, with the spread of the runs."""
    drawn: list[str] = []
    top = 8.0
    for panel in PANELS:
        bars = [
            (title, found, name == "gwcluster")
            for name, title in titles.items()
            if (found := panel.found(results, name))
        ]
        if bars:
            lines, top = _panel(panel, bars, top)
            drawn += lines
    height = round(top)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    said = "Bars: CPU, memory and latency of gwcluster and other libraries. The tables have the same figures."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{said}">',
            f"<style>{_STYLE}</style>",
            *drawn,
            "</svg>",
            "",
        ]
    )


def _panel(panel: Panel, bars: Sequence[tuple[str, Spread, bool]], top: float) -> tuple[list[str], float]:
    """Draw one panel; return its elements and where the next one begins."""
    room = WIDTH - _LABELS - _VALUES
    scale = room / max(found.high for _, found, _ in bars)
    unit = f' <tspan class="quiet">{panel.unit}, less is better</tspan>'
    lines = [f'<text class="title" x="0" y="{top + 14:.0f}">{html.escape(panel.title)}{unit}</text>']
    y = top + 26
    for title, found, is_ours in bars:
        width = max(found.median * scale, 1.0)
        middle = y + _BAR / 2
        lines.append(
            f'<text x="{_LABELS - 8}" y="{middle + 4.5:.1f}" text-anchor="end">{html.escape(title)}</text>'
        )
        lines.append(
            f'<rect class="{"ours" if is_ours else "bar"}" x="{_LABELS}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{_BAR}" rx="2"/>'
        )
        if found.runs > 1:
            low, high = (_LABELS + value * scale for value in (found.low, found.high))
            lines.append(
                f'<line class="range" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
            )
        end = _LABELS + max(width, found.high * scale if found.runs > 1 else 0)
        lines.append(
            f'<text class="value" x="{end + 8:.1f}" y="{middle + 4.5:.1f}">{number(found.median)}</text>'
        )
        y += _BAR + _GAP
    return lines, y + 18
