"""What the live table shows, on consoles of several sizes; nothing here waits."""

from __future__ import annotations

import io
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from gwcluster.board import Board
from gwcluster.cli.progress import draw, seconds_left
from gwcluster.identify.gate import UNKNOWN, Budget, Gate
from gwcluster.wire.notices import ShardState

NOW = 1_700_000_000.0
PLENTY = Budget(1000, 1000, 96_400.0, 100)


class Rig:
    """As much of a crew as is drawn."""

    def __init__(self, shards: int, budget: Budget = PLENTY) -> None:
        self.board = Board(range(shards), NOW, clock=lambda: 10_000.0)
        self.gate = Gate(max_concurrency=1, budget=budget, jitter=lambda: 0.0)
        self.crew: Any = SimpleNamespace(board=self.board, permits=SimpleNamespace(gate=self.gate))

    def are(self, state: ShardState, shards: Iterable[int], reason: str = "because") -> None:
        for shard in shards:
            self.board.changed(shard, state, reason, NOW)
            if state is ShardState.QUEUED:
                self.gate.ask(shard, 10_000.0)

    def drawn(self, width: int = 120, height: int = 24) -> list[str]:
        console = Console(record=True, file=io.StringIO(), width=width, height=height, force_terminal=True)
        console.print(draw(console, self.crew, 12.4, now=10_000.0, wall=NOW + 3.0))
        lines = console.export_text().splitlines()
        assert max(len(line) for line in lines) <= width
        return [line.rstrip() for line in lines]


@pytest.mark.parametrize("width", [80, 120])
def test_four_shards_are_counted_timed_and_listed(width: int) -> None:
    rig = Rig(4)
    rig.are(ShardState.LIVE, [0, 1], "ready")
    rig.are(ShardState.QUEUED, [2, 3], "waits for a permit")
    lines = rig.drawn(width)
    assert " ".join(lines[:-6]).startswith(
        "2 of 4 shards live after 12 s · about 7 s left · identifies: 1000 of 1000 left today, 100 in reserve"
    )
    assert lines[-6] == "━" * 30 + "─" * 30
    assert lines[-5].split() == ["shard", "state", "since"]
    assert [line.split() for line in lines[-4:]] == [
        ["0", "●", "live", "3", "s", "ready"],
        ["1", "●", "live", "3", "s", "ready"],
        ["2", "…", "queued", "3", "s", "waits", "for", "a", "permit"],
        ["3", "…", "queued", "3", "s", "waits", "for", "a", "permit"],
    ]


@pytest.mark.parametrize("width", [50, 80, 120])
@pytest.mark.parametrize("height", [16, 24, 50])
@pytest.mark.parametrize("spent", [False, True])
def test_of_five_hundred_shards_as_many_are_shown_as_fit_below_whatever_stands_above(
    width: int, height: int, spent: bool
) -> None:
    rig = Rig(500, Budget(1000, 100, 96_400.0, 500) if spent else PLENTY)
    rig.are(ShardState.LIVE, range(490))
    rig.are(ShardState.QUEUED, range(495, 500))
    rig.are(ShardState.FAILED, [490])
    rig.gate.step(10_000.0)
    lines = rig.drawn(width, height)
    rows = [line.split() for line in lines if line.endswith(("because", "started yet"))]
    assert height - 2 <= len(lines) <= height - 1  # the last line is the cursor's
    assert lines[-1].strip() == f"and {500 - len(rows)} more"


def test_those_that_are_not_live_come_first_when_not_all_fit() -> None:
    rig = Rig(500)
    rig.are(ShardState.LIVE, range(490))
    rig.are(ShardState.BACKOFF, range(490, 500), "refused")
    lines = rig.drawn(height=14)
    shown = [int(line.split()[0]) for line in lines if line.endswith("refused")]
    assert shown == list(range(490, 490 + len(shown)))
    assert len(shown) >= 8
    assert not [line for line in lines if line.endswith("because")]


def test_a_reason_that_is_too_long_is_cut_and_markup_in_it_is_none() -> None:
    rig = Rig(1)
    rig.are(ShardState.BACKOFF, [0], "[bold]tried[/bold] " + "x" * 200)
    line = rig.drawn(80)[-1]
    assert "[bold]tried[/bold] xxx" in line
    assert line.endswith("…")


def test_failed_shards_are_counted_in_the_headline_and_nothing_else_is_waited_for() -> None:
    rig = Rig(4)
    rig.are(ShardState.LIVE, [0, 1, 2])
    rig.are(ShardState.FAILED, [3], "4010 invalid shard")
    lines = rig.drawn()
    assert lines[0].endswith("100 in reserve · 1 failed")
    assert " left ·" not in lines[0]
    assert lines[-1].split() == ["3", "✗", "failed", "3", "s", "4010", "invalid", "shard"]


def test_a_budget_that_is_used_up_is_explained_and_so_long_is_the_wait() -> None:
    rig = Rig(2, Budget(1000, 100, 96_400.0, 100))
    rig.are(ShardState.QUEUED, [0, 1])
    rig.gate.step(10_000.0)
    lines = rig.drawn()
    assert "about 86401 s left" in lines[0]
    assert "identifies: 100 of 1000 left today, 100 in reserve" in lines[0]
    assert lines[1].startswith(
        "100 of 1000 identifies a day are left and 100 of them kept in reserve: no shard"
    )


def test_before_discord_told_its_limits_none_are_shown_and_what_that_means_is() -> None:
    rig = Rig(2, UNKNOWN)
    rig.are(ShardState.LIVE, [0])
    rig.are(ShardState.QUEUED, [1])
    rig.gate.step(10_000.0)
    lines = rig.drawn()
    assert "identifies:" not in lines[0]
    assert lines[1].startswith(
        "Discord has not told yet how many identifies are left: shards may only resume"
    )


def test_before_the_shard_count_is_known_discord_is_being_asked() -> None:
    console = Console(record=True, file=io.StringIO(), width=80, height=24)
    console.print(draw(console, None, 3.2, now=10_000.0, wall=NOW))
    assert console.export_text() == "asking Discord for the shard count (3 s)\n"


def test_the_time_left_is_that_of_the_last_in_the_queue_then_a_second_then_none() -> None:
    rig = Rig(64)
    rig.are(ShardState.QUEUED, range(64))
    assert (
        seconds_left(rig.crew, 10_000.0) == 340.0
    )  # 63 windows of 5.25 s with a mean jitter of 0.125 s, and one more
    for shard in range(64):
        rig.gate.withdraw(shard, 10_000.0)
    rig.are(ShardState.LIVE, range(63))
    assert seconds_left(rig.crew, 10_000.0) == 1.0
    rig.are(ShardState.LIVE, [63])
    assert seconds_left(rig.crew, 10_000.0) is None


def test_of_several_hosts_the_part_of_this_one_is_shown() -> None:
    rig = Rig(24)
    rig.are(ShardState.ELSEWHERE, range(8, 24))
    rig.are(ShardState.LIVE, range(7), "ready")
    lines = rig.drawn()
    assert lines[0].startswith("7 of 8 shards live · 8 of 24 shards are this host's after 12 s")
    assert not any("elsewhere" in line for line in lines)
    assert [line.split()[0] for line in lines[-8:]] == [str(shard) for shard in range(8)]


def test_a_host_without_shards_has_an_empty_table() -> None:
    rig = Rig(24)
    rig.are(ShardState.ELSEWHERE, range(24))
    lines = rig.drawn()
    assert lines[0].startswith("0 of 0 shards live · 0 of 24 shards are this host's")
    assert len(lines) <= 4
    assert seconds_left(rig.crew, 10_000.0) is None
