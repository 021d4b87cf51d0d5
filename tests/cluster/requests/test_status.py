from __future__ import annotations

from gwcluster.board import Board
from gwcluster.identify.budget import UNKNOWN, Budget
from gwcluster.requests.status import Run, document, left
from gwcluster.wire.control import Pulse
from gwcluster.wire.notices import ShardState

RUN = Run("example", "1.2.3", 4321, 1_790_000_000.0)
NOW = 1_790_000_100.0


def test_before_the_shards_are_known_it_says_so() -> None:
    assert document(RUN, None, now=NOW, shards=None, identifies=None) == {
        "name": "example",
        "version": "1.2.3",
        "pid": 4321,
        "started_at": 1_790_000_000.0,
        "now": NOW,
        "shards": None,
        "ids": [],
        "ready": 0,
        "total": 0,
        "degraded": 0,
        "failed": 0,
        "identifies": None,
        "shard": [],
    }


def test_each_shard_is_told_with_the_last_figures_of_its_worker() -> None:
    board = Board([5, 4], NOW - 50)
    board.changed(4, ShardState.LIVE, "READY", NOW - 40)
    board.views[4].pid = 99
    board.beat(4, Pulse(10, 1, 2, 3, 4, 0.25, 1.5, 2.5, 6, 7, 8, 41, "no room"), NOW - 3)
    told = document(RUN, board, now=NOW, shards=16, identifies=None)
    assert (told["shards"], told["ids"]) == (16, [4, 5])
    assert (told["ready"], told["total"], told["degraded"], told["failed"]) == (1, 2, 1, 0)
    assert told["shard"][0] == {
        "shard": 4,
        "state": "live",
        "reason": "READY",
        "since": NOW - 40,
        "pid": 99,
        "restarts": 0,
        "degraded": "no room",
        "latency_s": 0.25,
        "events": 10,
        "event_age_s": 1.5,
        "ack_age_s": 2.5,
        "resumes": 6,
        "identifies": 7,
        "session": 8,
        "offset": 41,
        "pulse_age_s": 3.0,
    }
    assert told["shard"][1] == dict.fromkeys(told["shard"][0]) | {
        "shard": 5,
        "state": "starting",
        "reason": "not started yet",
        "since": NOW - 50,
        "restarts": 0,
    }


def test_the_moment_of_the_reset_is_told_by_the_wall_clock() -> None:
    budget = Budget(total=1000, remaining=900, reset_at=10_060.0, reserve=100)
    found = left(budget, 10_000.0, NOW)
    assert document(RUN, None, now=NOW, shards=None, identifies=found)["identifies"] == {
        "total": 1000,
        "remaining": 900,
        "spendable": 800,
        "resets_at": NOW + 60.0,
    }
    assert left(UNKNOWN, 10_000.0, NOW) is None
