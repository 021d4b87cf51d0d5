"""Decides (pure): whether IDENTIFYs and REST calls kept to what Discord allows.

Sources:
    https://docs.discord.com/developers/events/gateway#rate-limiting
    https://docs.discord.com/developers/topics/rate-limits
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from gwsimulator.ledger import Ledger
from gwsimulator.limits import DAY_S
from gwsimulator.settings import Settings


def identifies_apart(ledger: Ledger, settings: Settings) -> Iterator[str]:
    """I1: between two IDENTIFYs of a key there is at least the window."""
    last: dict[int, tuple[float, int]] = {}
    for identify in ledger.identifies:
        if identify.shard is None:
            continue
        key = identify.shard % settings.max_concurrency
        at, shard = last.get(key, (-settings.identify_window_s, 0))
        apart_s = identify.at - at
        if apart_s < settings.identify_window_s:
            yield (
                f"shards {shard} and {identify.shard} identified {apart_s:.3f} s apart on key {key},"
                f" at {identify.at:.3f}"
            )
        last[key] = identify.at, identify.shard


def identifies_within_a_day(ledger: Ledger, settings: Settings, reserve: int) -> Iterator[str]:
    """I2: in no 24 h are there more IDENTIFYs than the limit less the reserve; told once."""
    allowed = settings.daily_limit - reserve
    recent: deque[float] = deque()
    for identify in ledger.identifies:
        recent.append(identify.at)
        while identify.at - recent[0] >= DAY_S:
            recent.popleft()
        began_with = settings.identifies_used if identify.at - ledger.identifies[0].at < DAY_S else 0
        if len(recent) + began_with > allowed:
            yield (
                f"IDENTIFY {len(recent) + began_with} of 24 h came at {identify.at:.3f}:"
                f" {settings.daily_limit} are allowed and {reserve} of them reserved"
            )
            return


def rest_calls_awaited(ledger: Ledger, most: int | None) -> Iterator[str]:
    """I10: no more REST calls than expected, and none earlier than a 429 said."""
    if most is not None and len(ledger.rest_calls) > most:
        yield f"{len(ledger.rest_calls)} REST calls instead of at most {most}"
    not_before: dict[str, float] = {}
    for call in ledger.rest_calls:
        if call.at < not_before.get(call.path, call.at):
            yield f"{call.path} was asked {not_before[call.path] - call.at:.3f} s before a 429 allowed it"
        if call.not_before is not None:
            not_before[call.path] = call.not_before
