"""Decides (pure): which goals the results reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.results import Results

LANGUAGES: Final = {
    "Python": ("discord.py", "hikari"),
    "Node": ("discordjs", "discordjs-threads", "discordeno", "cloudstorm"),
}
_FULL: Final = ("cost", "chat, zlib-stream")
_USUAL: Final = ("load", "chat, zlib-stream")


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure of gwcluster's that must not exceed a limit."""

    what: str
    limit: float
    unit: str
    figure: Callable[[Results], float | None]

    def verdict(self, results: Results) -> tuple[str, float | None]:
        """Return `ok`, `missed` or `not measured`, and the figure."""
        found = self.figure(results)
        if found is None:
            return "not measured", None
        return ("ok" if found <= self.limit else "missed"), found


def _own(measure: str, row: str, figure: str) -> Callable[[Results], float | None]:
    return lambda results: results.median(measure, row, "gwcluster", figure)


def _mb(row: str) -> Callable[[Results], float | None]:
    """Return a worker's memory in millions of bytes."""

    def megabytes(results: Results) -> float | None:
        mib = results.median("memory", row, "gwcluster", "worker")
        return None if mib is None else mib * 1.048576

    return megabytes


def _beside(where: tuple[str, str], language: str) -> Callable[[Results], float | None]:
    """Return gwcluster's CPU per event over that of the language's fastest."""

    def ratio(results: Results) -> float | None:
        ours = results.median(*where, "gwcluster", "all")
        theirs = [
            found
            for name in LANGUAGES[language]
            if (found := results.median(*where, name, "all")) is not None
        ]
        return ours / min(theirs) if ours is not None and theirs else None

    return ratio


GOALS: Final = (
    Goal("CPU of the worker for an event at full rate", 12, "µs", _own(*_FULL, "workers")),
    Goal("CPU of the coordinator for an event at full rate", 4, "µs", _own(*_FULL, "coordinator")),
    Goal("CPU of all processes for an event at the usual load", 120, "µs", _own(*_USUAL, "all")),
    Goal(
        "CPU for an event at full rate, over that of the fastest in Python",
        0.5,
        "times",
        _beside(_FULL, "Python"),
    ),
    Goal(
        "CPU for an event at full rate, over that of the fastest in Node",
        0.5,
        "times",
        _beside(_FULL, "Node"),
    ),
    Goal(
        "CPU for an event at the usual load, over that of the fastest in Python",
        0.5,
        "times",
        _beside(_USUAL, "Python"),
    ),
    Goal(
        "CPU for an event at the usual load, over that of the fastest in Node",
        0.5,
        "times",
        _beside(_USUAL, "Node"),
    ),
    Goal("PSS of an idle worker, 64 shards", 5, "MB", _mb("64 shards, idle")),
    Goal(
        "PSS of an idle worker after a start with 2,500 guilds, 64 shards",
        6,
        "MB",
        _mb("64 shards, after 2,500 guilds on each"),
    ),
    Goal("Latency at 2,000 events/s, half", 0.5, "ms", _own("latency", "2,000 events/s", "p50")),
    Goal("Latency at 2,000 events/s, 99 %", 3, "ms", _own("latency", "2,000 events/s", "p99")),
    Goal("All of 64 shards ready, 16 at a time", 16.5, "s", _own("start", "64 shards", "seconds")),
    Goal("From SIGKILL of a worker to RESUMED, 99 %", 1_000, "ms", _own("recovery", "a worker", "p99")),
    Goal(
        "From SIGKILL of the coordinator to the last of 64 RESUMED",
        5_000,
        "ms",
        _own("recovery", "the whole program, 64 shards", "p50"),
    ),
)
