"""`gwcluster top FILE` (does): the status of a cluster, live, as far as it fits into the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gwcluster.cli.asking import AskError
from gwcluster.cli.chosen import ORDERS, Shard, chosen
from gwcluster.cli.shard_table import grid, headline, table
from gwcluster.cli.status import filters
from gwcluster.cli.terminal import keys, signals
from gwcluster.client import Cluster, Connection
from gwcluster.client.addresses import find
from gwcluster.errors import GwclusterError

EVERY_S: Final = 2.0
OLD_S: Final = 6.0
"""An answer that is older says nothing of now, and is not shown as if it did."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@filters
@click.option(
    "--sort", type=click.Choice(list(ORDERS)), default="worst", show_default=True, help="What comes first."
)
def command(file: Path, states: tuple[str, ...], among: tuple[range, ...], bad: bool, sort: str) -> None:
    """Show how the running cluster that FILE describes is, every two seconds.

    Above, every shard is one sign; below are those that come first, as many as fit.
    Keys: s sorts by something else, b shows bad ones alone or all, q ends.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise AskError("top needs a terminal; use `gwcluster status`, for programs with --json")
    asyncio.run(_run(file, Shown(states, among, bad, sort)))


class Shown:
    """What is shown, as keys change it."""

    def __init__(self, states: Sequence[str], among: Sequence[range], bad: bool, sort: str) -> None:
        self.sort = sort
        self.bad = bad
        self.ended = False
        self._states, self._among = states, among
        self.changed = asyncio.Event()

    def pressed(self, key: str) -> None:
        """Take a key."""
        if key in {"q", "Q", "\x03", "\x04"}:
            self.end()
        elif key == "s":
            names = list(ORDERS)
            self.sort = names[(names.index(self.sort) + 1) % len(names)]
        elif key == "b":
            self.bad = not self.bad
        self.changed.set()

    def end(self) -> None:
        """Stop."""
        self.ended = True
        self.changed.set()

    def draw(self, console: Console, status: dict[str, Any] | None, age_s: float, why: str) -> RenderableType:
        """Return what a console of this size shows.

        Args:
            console: decides what fits.
            status: the last that was told, None before the first.
            age_s: how old that is.
            why: there is no newer one; empty: all is well.
        """
        if status is None:
            return Text(why or "asking the cluster", "bold red" if why else "dim")
        stale = age_s > OLD_S
        if stale:
            status = {**status, "ready": 0, "shard": [_aged(shard, age_s) for shard in status["shard"]]}
        above: list[RenderableType] = [headline(status)]
        if why or stale:
            above.append(Text(f"what follows is {age_s:.0f} s old. {why}", "bold red"))
        if len(status["shard"]) > 1:
            above.append(grid(status["shard"], console.width))
        found = chosen(status["shard"], states=self._states, among=self._among, bad=self.bad)
        shown = sorted(found, key=ORDERS[self.sort])
        only = ", only bad ones" if self.bad else ""
        above.append(Text(f"sorted by {self.sort}{only} · s sort · b bad ones · q end", "dim"))
        room = console.height - len(console.render_lines(Group(*above))) - 2  # titles, and what is left out
        above += _fitting(shown, status["now"], room, console.width)
        return Group(*above)


def _aged(shard: Shard, age_s: float) -> Shard:
    pulse_age_s = shard["pulse_age_s"]
    return {**shard, "fresh": False, "pulse_age_s": None if pulse_age_s is None else pulse_age_s + age_s}


def _fitting(shards: Sequence[Shard], now: float, room: int, width: int) -> list[Text]:
    """Return the lines of as many shards as have room, and how many have none."""
    for count in range(min(room, len(shards)), 0, -1):
        lines = table(shards[:count], now, width=width)
        if len(lines) <= room + 1:
            left = len(shards) - count
            return [*lines, Text(f"and {left} more", "dim")] if left else lines
    return []


async def _run(file: Path, shown: Shown) -> None:
    console = Console(highlight=False)
    async with Connection(find(file, None, None, here=True)) as cluster:
        with (
            signals(shown.end, shown.changed.set),
            keys(shown.pressed),
            Live(console=console, screen=True, auto_refresh=False) as live,
        ):
            asker = _Asker(cluster, shown.changed)
            asking = asyncio.ensure_future(asker.run())
            try:
                while not shown.ended:
                    shown.changed.clear()
                    age_s = time.monotonic() - asker.told_at
                    live.update(shown.draw(console, asker.status, age_s, asker.why), refresh=True)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(EVERY_S):
                            await shown.changed.wait()
            finally:
                asking.cancel()


class _Asker:
    """Asks for the status again and again, while keys are heard all the same."""

    def __init__(self, cluster: Cluster, news: asyncio.Event) -> None:
        self.status: dict[str, Any] | None = None
        self.told_at = time.monotonic()
        self.why = ""
        self._cluster = cluster
        self._news = news

    async def run(self) -> None:
        """Never ends by itself."""
        while True:
            try:
                self.status = await self._cluster.status()
                self.told_at, self.why = time.monotonic(), ""
            except GwclusterError as error:
                self.why = str(error)
            self._news.set()
            await asyncio.sleep(EVERY_S)
