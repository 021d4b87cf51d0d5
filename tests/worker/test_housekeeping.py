from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from gwworker.housekeeping import Housekeeping

MIB = 1 << 20


class Noted:
    """Stands for all that a house has; notes what is asked of it."""

    dirty = False
    unpushed = 0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.asked.append(name)


async def kept(sizes: list[int], *, step_s: float) -> tuple[list[str], list[int]]:
    """Step once for each size of the process; return what was asked, and when memory was given back."""
    house, given, step = Noted(), [], 0
    with ThreadPoolExecutor(1) as thread:
        keeping = Housekeeping(
            **dict.fromkeys(("drive", "writer", "disk", "outlet", "fanin", "control"), cast(Any, house)),
            thread=thread,
            resident=lambda: sizes[step],
            trim=lambda: given.append(step),
        )
        now = time.monotonic()
        for step in range(len(sizes)):
            keeping.step(now + step * step_s)
    return house.asked, given


def test_what_a_start_took_is_given_back_once_it_is_over() -> None:
    grown = [20 * MIB, 26 * MIB, 35 * MIB, 35 * MIB, 35 * MIB, 35 * MIB]
    _, given = asyncio.run(kept(grown, step_s=5.0))
    assert given == [3]


def test_a_worker_that_needs_no_more_than_before_is_left_alone() -> None:
    _, given = asyncio.run(kept([20 * MIB] * 60, step_s=5.0))
    assert not given


def test_each_second_marks_and_every_two_seconds_beacon_and_pulse() -> None:
    asked, _ = asyncio.run(kept([0] * 61, step_s=1.0))
    counts = {name: asked.count(name) for name in ("mark", "mind_disk", "tidy", "keep")}
    assert counts == {"mark": 61, "mind_disk": 61, "tidy": 1, "keep": 1}
    for name in ("beacon", "pulse", "tell"):
        assert 30 <= asked.count(name) <= 31
