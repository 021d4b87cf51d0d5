"""How the status of a cluster looks on a console (pure): a headline, and a table of shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from gwcluster.cli.chosen import Shard, is_bad, runs
from gwcluster.cli.figures import NOTHING, age, latency, number, size
from gwcluster.cli.signs import SIGNS, STALE
from gwcluster.spans import moment
from gwcluster.wire.notices import ShardState

WIDE: Final = 124
"""Columns from which everything fits into one line."""

GROUP: Final = 32
"""Shards that are ready are shown in groups of so many at most, when they are many."""

_NARROW: Final = ("shard", "state", "since", "latency", "ev/s", "guilds", "event", "ack", "starts")
_WIDE: Final = (*_NARROW, "deaths", "session", "resumes", "identifies", "memory", "why")
_LEFT: Final = frozenset({"state", "why"})


def headline(status: dict[str, Any]) -> Text:
    """Return the totals of a cluster, some lines of them."""
    states = Counter("stale" if sign(each) is STALE else str(each["state"]) for each in status["shard"])
    states.pop("live", None)
    ready, total = status["ready"], status["total"]
    up = age(status["now"] - status["started_at"])
    line = Text.assemble(
        (str(status["name"]), "bold"),
        f"  gwcluster {status['version']}, process {status['pid']}, up {up}\n",
        (f"{ready} of {total} shards are ready", "bold green" if ready == total else "bold yellow"),
        *(f" · {count} {state}" for state, count in sorted(states.items())),
        (f" · {status['degraded']} degraded", "bold red") if status["degraded"] else "",
        f" · {number(status['events_per_s'])} events/s · {number(status['guilds'])} guilds",
        f" · {size(_memory(status))} memory\n",
        _identifies(status),
    )
    if (rolling := status["rolling"]) is not None:
        line.append(f"\nrolling restart: {_far(rolling)} shards are done", "bold cyan")
    elif (rolled := status["rolled"]) is not None and rolled["why"] is not None:
        line.append(f"\nrolling restart stopped after {_far(rolled)} shards: {rolled['why']}", "red")
    return line


def _memory(status: dict[str, Any]) -> float | None:
    return sum(each["memory_bytes"] or 0 for each in status["shard"]) or None


def _far(rolled: dict[str, Any]) -> str:
    return f"{rolled['done']} of {rolled['total']}"


def _identifies(status: dict[str, Any]) -> str:
    told = status["identifies"]
    if told is None:
        return "identifies: Discord hasn't told yet"
    return (
        f"identifies: {told['remaining']} of {told['total']} left, {told['spendable']} to be spent; "
        f"reset at {moment(told['resets_at'], status['now'])}"
    )


def table(shards: Sequence[Shard], now: float, *, width: int, grouped: bool = False) -> Table:
    """Return the table of some shards.

    Args:
        shards: in the order in which they are shown; grouped ones by id.
        now: Unix seconds of the status.
        width: of the console. In less than 124 columns a bad shard has its reason in a line of its own.
        grouped: show those that are ready as groups.
    """
    wide = width >= WIDE
    columns = _WIDE if wide else _NARROW
    made = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim", collapse_padding=True)
    for title in columns:
        made.add_column(
            title,
            justify="left" if title in _LEFT else "right",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if title == "why" else None,
        )
    for group in runs(shards, GROUP) if grouped else [[each] for each in shards]:
        cells = _cells(group, now)
        made.add_row(*(cells[title] for title in columns))
        if not wide and is_bad(group[0]):
            made.add_row("", Text(f"└ {_why(group[0])}", "dim"), *[""] * (len(columns) - 2))
    return made


def _why(shard: Shard) -> str:
    if shard["degraded"] is not None:
        return f"degraded: {shard['degraded']}"
    if shard["state"] == "live" and not shard["fresh"]:
        return f"not heard of for {age(shard['pulse_age_s'])}; it was live then"
    return str(shard["reason"])


def sign(shard: Shard) -> tuple[str, str]:
    """Return the sign of a shard and its colour; one that isn't heard of is never shown as good."""
    if shard["state"] == "live" and not shard["fresh"]:
        return STALE
    mark, style = SIGNS.get(_state(shard["state"]), ("?", ""))
    return (mark, "bold red") if shard["degraded"] is not None else (mark, style)


def _state(text: str) -> ShardState:
    return ShardState(text) if text in set(ShardState) else ShardState.STARTING


def _cells(group: Sequence[Shard], now: float) -> dict[str, str | Text]:
    first, last = group[0], group[-1]
    mark, style = sign(first)
    stale = not first["fresh"] and first["pulse_age_s"] is not None
    name = "stale" if mark == STALE[0] else str(first["state"])

    def figure(text: str) -> Text:
        return Text(f"{text}?" if stale and text != NOTHING else text, "dim" if stale else "")

    def most(key: str) -> float | None:
        return max((each[key] for each in group if each[key] is not None), default=None)

    def total(key: str) -> float | None:
        return sum(found) if (found := [each[key] for each in group if each[key] is not None]) else None

    return {
        "shard": str(first["shard"]) if first is last else f"{first['shard']}-{last['shard']}",
        "state": Text(f"{mark} {name}", style),
        "since": age(now - (most("since") or now)),
        "latency": figure(latency(most("latency_s"))),
        "ev/s": figure(number(total("events_per_s"))),
        "guilds": figure(number(total("guilds"))),
        "event": figure(age(most("event_age_s"))),
        "ack": figure(age(most("ack_age_s"))),
        "starts": str(sum(each["restarts"] for each in group)),
        "deaths": str(sum(each["deaths"] for each in group)),
        "session": figure(age(most("session_age_s"))),
        "resumes": figure(number(total("resumes"))),
        "identifies": figure(number(total("identifies"))),
        "memory": figure(size(total("memory_bytes"))),
        "why": Text(_why(first) if is_bad(first) else "", "dim", overflow="ellipsis"),
    }


def grid(shards: Iterable[Shard], width: int) -> Text:
    """Return every shard as one sign, in tens, as many to a line as fit."""
    ordered = sorted(shards, key=lambda each: int(each["shard"]))
    tens = max(1, (width - 6) // 11)
    drawn = Text(no_wrap=True)
    for place, each in enumerate(ordered):
        if place % (10 * tens) == 0:
            drawn.append(f"{chr(10) if place else ''}{each['shard']:>5} ", "dim")
        elif place % 10 == 0:
            drawn.append(" ")
        drawn.append(*sign(each))
    return drawn
