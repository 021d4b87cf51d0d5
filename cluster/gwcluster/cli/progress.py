"""What `gwcluster run` shows in a terminal while shards come up (does): a live table, then the log alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from gwcluster.board import Board, ShardView
from gwcluster.cli.signs import SIGNS
from gwcluster.coordinator import Cluster
from gwcluster.identify.gate import UNKNOWN
from gwcluster.supervise.crew import Crew
from gwcluster.wire.notices import ShardState

REFRESH_S: Final = 0.25
BAR_WIDTH: Final = 60

AROUND_ROWS: Final = 3
"""Lines of the table that are no shards: its titles, `and N more`, and the cursor's own."""


class Progress:
    """The live table of one run, from its start until all shards are live.

    Attributes:
        handler: where the log goes meanwhile and afterwards: above the table.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._task: asyncio.Task[None] | None = None
        self.handler: logging.Handler = RichHandler(
            console=self._console, show_path=False, log_time_format="%H:%M:%S", rich_tracebacks=False
        )

    async def __aenter__(self) -> Progress:
        self._live.start()
        self._task = asyncio.ensure_future(self._refresh())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._live.stop()

    async def _refresh(self) -> None:
        while True:
            crew = self._cluster.crew
            elapsed_s = time.monotonic() - self._cluster.started_at
            drawn = draw(self._console, crew, elapsed_s, now=time.monotonic(), wall=time.time())
            self._live.update(drawn, refresh=True)
            if crew is not None and not self._goes_on(crew):
                self._live.stop()
                return
            await asyncio.sleep(REFRESH_S)

    def _goes_on(self, crew: Crew) -> bool:
        """Say whether shards are coming up here, or may: among several hosts they are claimed first."""
        if seconds_left(crew, time.monotonic()) is not None:
            return True
        return crew.board.counts.total == 0 and bool((self._cluster.status()["hosts"] or {}).get("free"))


def draw(console: Console, crew: Crew | None, elapsed_s: float, *, now: float, wall: float) -> RenderableType:
    """Return what a console of this size shows; a crew of None isn't known yet.

    Args:
        console: decides how many shards fit.
        crew: what to show.
        elapsed_s: seconds since the start.
        now: monotonic seconds.
        wall: Unix seconds.
    """
    if crew is None:
        return Text(f"asking Discord for the shard count ({elapsed_s:.0f} s)")
    above = Group(_headline(crew, elapsed_s, now), _bar(crew.board))
    taken = len(console.render_lines(above)) + AROUND_ROWS
    return Group(above, _table(crew.board, max(3, console.height - taken), wall))


def _headline(crew: Crew, elapsed_s: float, now: float) -> Text:
    counts = crew.board.counts
    budget = crew.permits.gate.budget
    left_s = seconds_left(crew, now)
    line = Text.assemble(
        (f"{counts.ready} of {counts.total} shards live", "bold"),
        f" · {counts.total} of {len(crew.board.views)} shards are this host's"
        if _is_shared(crew.board)
        else "",
        f" after {elapsed_s:.0f} s",
        f" · about {left_s:.0f} s left" if left_s is not None else "",
        f" · identifies: {budget.remaining} of {budget.total} left today, {budget.reserve} in reserve"
        if budget is not UNKNOWN
        else "",
    )
    if counts.failed:
        line.append(f" · {counts.failed} failed", "bold red")
    if crew.permits.gate.blocked is not None:
        line.append(f"\n{crew.permits.gate.blocked}", "bold red")
    return line


def seconds_left(crew: Crew, now: float) -> float | None:
    """Return about how long from monotonic `now` until all are live, None when nothing is waited for."""
    waiting = crew.permits.gate.etas(now)
    if waiting:
        return math.ceil(max(waiting.values())) + 1.0
    counts = crew.board.counts
    return 1.0 if counts.ready + counts.failed < counts.total else None


def _bar(board: Board) -> Text:
    counts = board.counts
    full = round(BAR_WIDTH * counts.ready / max(1, counts.total))
    return Text.assemble(("━" * full, "green"), ("─" * (BAR_WIDTH - full), "dim"))


def _table(board: Board, height: int, now: float) -> Table:
    """Return as many shards as fit; those that are not live yet come first."""
    here = [view for view in board.views.values() if view.state is not ShardState.ELSEWHERE]
    views = sorted(here, key=lambda view: (view.state is ShardState.LIVE, view.shard))
    shown = sorted(views[:height], key=lambda view: view.shard)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title, side in (("shard", "right"), ("state", "left"), ("since", "right"), ("", "left")):
        table.add_column(title, justify="right" if side == "right" else "left", no_wrap=True)
    for view in shown:
        table.add_row(*_row(view, now))
    if len(views) > len(shown):
        table.add_row("", f"and {len(views) - len(shown)} more")
    return table


def _is_shared(board: Board) -> bool:
    return any(view.state is ShardState.ELSEWHERE for view in board.views.values())


def _row(view: ShardView, now: float) -> tuple[str, Text, str, Text]:
    sign, style = SIGNS[view.state]
    return (
        str(view.shard),
        Text(f"{sign} {view.state.value}", style),
        f"{max(0.0, now - view.since):.0f} s",
        Text(view.reason, "dim", overflow="ellipsis"),
    )
