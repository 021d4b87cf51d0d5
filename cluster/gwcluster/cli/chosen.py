"""Which shards of a status are shown, and in which order (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

Shard = dict[str, Any]
"""One of `shard` in the status."""

ELSEWHERE: Final = "elsewhere"

_RANGE: Final = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


def ids(text: str) -> range:
    """Return the shards that `3` or `0-15` means.

    Raises:
        ValueError: it means none; say so.
    """
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if last < first:
        raise ValueError(f"{text!r} is no shard, and no range of shards such as 0-15")
    return range(first, last + 1)


def is_ready(shard: Shard) -> bool:
    """Say whether a shard is live, as far as anybody knows."""
    return bool(shard["state"] == "live" and shard["fresh"])


def is_free(shard: Shard) -> bool:
    """Say whether no host runs a shard, where there are several."""
    return bool(shard.get("free"))


def is_bad(shard: Shard) -> bool:
    """Say whether somebody may want to look at a shard; one that another host runs is that host's to show."""
    if shard["state"] == ELSEWHERE:
        return is_free(shard)
    return not is_ready(shard) or shard["degraded"] is not None


def chosen(
    shards: Iterable[Shard], *, states: Collection[str] = (), among: Sequence[range] = (), bad: bool = False
) -> list[Shard]:
    """Return the shards in one of these states, of these ids, and bad ones alone; all if nothing is said."""
    return [
        each
        for each in shards
        if (not states or each["state"] in states)
        and (not among or any(each["shard"] in some for some in among))
        and (not bad or is_bad(each))
    ]


_WORST: Final = (
    "failed",
    "free",
    "stopped",
    "backoff",
    "starting",
    "connecting",
    "queued",
    "resuming",
    "identifying",
)


def _badness(shard: Shard) -> tuple[float, ...]:
    state = "free" if is_free(shard) else shard["state"]
    if state in _WORST:
        rank = _WORST.index(state)
    else:
        rank = len(_WORST) + (2 if state == ELSEWHERE else is_ready(shard))
    return (
        rank,
        shard["degraded"] is None,
        -shard["deaths"],
        -shard["restarts"],
        -(shard["latency_s"] or 0.0),
        shard["shard"],
    )


def _most(key: str) -> Callable[[Shard], tuple[float, ...]]:
    return lambda shard: (-(shard[key] if shard[key] is not None else -1.0), shard["shard"])


ORDERS: Final[dict[str, Callable[[Shard], tuple[float, ...]]]] = {
    "worst": _badness,
    "shard": lambda shard: (shard["shard"],),
    "latency": _most("latency_s"),
    "rate": _most("events_per_s"),
    "guilds": _most("guilds"),
    "memory": _most("memory_bytes"),
    "restarts": _most("restarts"),
    "since": lambda shard: (-shard["since"], shard["shard"]),
}
"""Ways to sort, by name; what is worst, most or newest comes first."""


def runs(shards: Sequence[Shard], longest: int) -> list[list[Shard]]:
    """Return shards as groups of so many at most: bad ones alone, others with neighbours of the same host."""
    groups: list[list[Shard]] = []
    for each in sorted(shards, key=lambda one: int(one["shard"])):
        last = groups[-1] if groups else []
        if (
            last
            and not is_bad(each)
            and not is_bad(last[-1])
            and (each["state"], each.get("host")) == (last[-1]["state"], last[-1].get("host"))
            and each["shard"] == last[-1]["shard"] + 1
            and each["shard"] // longest == last[0]["shard"] // longest
        ):
            last.append(each)
        else:
            groups.append([each])
    return groups
