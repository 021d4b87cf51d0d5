"""How the status of a cluster looks on a console (pure): a headline, and a table of shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.text import Text

from gwcluster.cli.chosen import Shard, is_bad, is_free, runs
from gwcluster.cli.figures import NOTHING, age, latency, number, plain, size
from gwcluster.cli.host_table import host_lines, share
from gwcluster.cli.signs import DEGRADED, FREE, SIGNS, STALE
from gwcluster.spans import moment
from gwcluster.wire.notices import ShardState

WIDE: Final = 140
"""Columns from which everything fits into one line."""

GROUP: Final = 32
"""Shards that are ready are shown in groups of so many at most, when they are many."""

_NARROW: Final = {
    "shard": 7,
    "state": 13,
    "since": 5,
    "latency": 7,
    "ev/s": 6,
    "guilds": 7,
    "event": 5,
    "ack": 5,
    "starts": 6,
}
_HOST: Final = {"host": 10}
"""Where there are several."""

_WIDE: Final = {
    **_NARROW,
    "deaths": 6,
    "session": 7,
    "resumes": 7,
    "identifies": 10,
    "memory": 7,
}
"""Columns and their widths. What is wider is cut, so that columns stay where they are from look to look."""


def headline(status: dict[str, Any]) -> Text:
    """Return the totals of a cluster, some lines of them."""
    states = Counter(_name(each) for each in status["shard"])
    states.pop("live", None)
    up = age(status["now"] - status["started_at"])
    line = Text.assemble(
        (str(status["name"]), "bold"),
        f"  gwcluster {status['version']}, process {status['pid']}, up {up}\n",
        (_ready(status), "bold green" if _is_whole(status) else "bold yellow"),
        *(f" · {count} {state}" for state, count in sorted(states.items())),
        (f" · {status['degraded']} degraded", "bold red") if status["degraded"] else "",
        f" · {number(status['events_per_s'])} events/s · {number(status['guilds'])} guilds",
        f" · {size(_memory(status))} memory\n",
        _identifies(status),
    )
    if (rolling := status["rolling"]) is not None:
        line.append(f"\nrolling restart: {_far(rolling)} shards are done", "bold cyan")
    elif (rolled := status["rolled"]) is not None and rolled["why"] is not None:
        line.append(f"\nrolling restart stopped after {_far(rolled)} shards: {plain(rolled['why'])}", "red")
    if (hosts := status.get("hosts")) is not None:
        line.append_text(host_lines(hosts))
    return line


def _is_whole(status: dict[str, Any]) -> bool:
    """Say whether nothing is missing; a host that is one of several may well have no shards."""
    spare = status.get("hosts") is not None and bool(status["shard"])
    return status["ready"] == status["total"] and (status["total"] > 0 or spare)


def _ready(status: dict[str, Any]) -> str:
    if status["shards"] is None:
        return "the shards aren't known yet: Discord hasn't answered"
    ready = f"{status['ready']} of {status['total']} shards are ready"
    if (hosts := status.get("hosts")) is None:
        return ready
    return f"{share(hosts, len(status['ids']))}, {status['ready']} of {status['total']} are ready"


def _memory(status: dict[str, Any]) -> float | None:
    return sum(each["memory_bytes"] or 0 for each in status["shard"]) or None


def _far(rolled: dict[str, Any]) -> str:
    return f"{rolled['done']} of {rolled['total']}"


def _identifies(status: dict[str, Any]) -> str:
    told = status["identifies"]
    if told is None:
        return "identifies: Discord hasn't told yet"
    return (
        f"identifies: {told['remaining']} of {told['total']} left, {told['spendable']} spendable; "
        f"reset {moment(told['resets_at'], status['now'])}"
    )


def table(shards: Sequence[Shard], now: float, *, width: int, grouped: bool = False) -> list[Text]:
    """Return the lines of the table of some shards; titles come first.

    Args:
        shards: in the order in which they are shown; grouped ones by id.
        now: Unix seconds of the status.
        width: of the console. In less than 140 columns a bad shard has its reason in a line of its own.
        grouped: show those that are ready as groups.
    """
    wide = width >= WIDE
    columns = _WIDE if wide else _NARROW
    if any(each.get("host") is not None for each in shards):
        columns = columns | _HOST
    lines = [Text(" ".join(_fitted(title, columns[title], title) for title in columns), "dim")]
    for group in runs(shards, GROUP) if grouped else [[each] for each in shards]:
        cells = _cells(group, now)
        line = Text(" ").join(
            Text(_fitted(str(cells[title]), columns[title], title), _style(cells[title])) for title in columns
        )
        if is_bad(group[0]):
            why = Text(plain(_why(group[0])), "dim")
            if wide:
                line.append(" ").append_text(why)
            else:
                lines.append(line)
                line = Text(" " * 8 + "└ ", "dim").append_text(why)
        lines.append(line)
    for line in lines:
        line.no_wrap, line.overflow = True, "ellipsis"
        line.truncate(width, overflow="ellipsis")
    return lines


def _fitted(text: str, width: int, title: str) -> str:
    cut = text if len(text) <= width else f"{text[: width - 1]}…"
    return cut.ljust(width) if title == "state" else cut.rjust(width)


def _style(cell: str | Text) -> str:
    return str(cell.style) if isinstance(cell, Text) else ""


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
    if is_free(shard):
        return FREE
    return DEGRADED if shard["degraded"] is not None else SIGNS[_state(shard["state"])]


def _name(shard: Shard) -> str:
    """Return the state of a shard as it is shown."""
    mark = sign(shard)
    return {STALE: "stale", FREE: "free"}.get(mark, str(shard["state"]))


def _state(text: str) -> ShardState:
    return ShardState(text) if text in set(ShardState) else ShardState.STARTING


def _cells(group: Sequence[Shard], now: float) -> dict[str, str | Text]:
    first, last = group[0], group[-1]
    mark, style = sign(first)
    stale = not first["fresh"] and first["pulse_age_s"] is not None

    def figure(text: str) -> Text:
        return Text(f"{text}?" if stale and text != NOTHING else text, "dim" if stale else "")

    def most(key: str) -> float | None:
        return max((each[key] for each in group if each[key] is not None), default=None)

    def total(key: str) -> float | None:
        return sum(found) if (found := [each[key] for each in group if each[key] is not None]) else None

    return {
        "shard": str(first["shard"]) if first is last else f"{first['shard']}-{last['shard']}",
        "state": Text(f"{mark} {_name(first)}", style),
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
        "host": plain(first.get("host") or NOTHING),
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
