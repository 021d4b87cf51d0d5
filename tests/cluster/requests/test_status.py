from __future__ import annotations

from typing import Any

from gwcluster.board import Board
from gwcluster.identify.budget import UNKNOWN, Budget
from gwcluster.requests.status import News, Run, document, left
from gwcluster.supervise.rolling import Rolled
from gwcluster.wire.control import Pulse
from gwcluster.wire.notices import ShardState
from support.statuses import hosts, neighbour

RUN = Run("example", "1.2.3", 4321, 1_790_000_000.0)
NOW = 1_790_000_100.0


def test_before_the_shards_are_known_it_says_so() -> None:
    assert document(RUN, None, now=NOW, shards=None, identifies=None, news=News()) == {
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
        "events_per_s": 0,
        "guilds": None,
        "reloaded_at": None,
        "rolling": None,
        "rolled": None,
        "hosts": None,
        "shard": [],
    }


def test_each_shard_is_told_with_the_last_figures_of_its_worker() -> None:
    moments = iter([10_000.0, 10_010.0, 10_012.0])
    board = Board([5, 4], NOW - 50, clock=lambda: next(moments, 10_015.0))
    board.changed(4, ShardState.LIVE, "READY", NOW - 40)
    board.views[4].pid, board.views[4].memory_bytes, board.views[4].deaths = 99, 5_000_000, 1
    board.beat(4, Pulse(4, 1, 2, 3, 4, 0.25, 1.5, 2.5, 6, 7, 8, 40, None))
    board.beat(4, Pulse(10, 1, 2, 3, 4, 0.25, 1.5, 2.5, 6, 7, 8, 41, "no room", 41.25, 2500, 86_400.0))
    told = document(RUN, board, now=NOW, shards=16, identifies=None, news=News())
    assert (told["shards"], told["ids"]) == (16, [4, 5])
    assert (told["ready"], told["total"], told["degraded"], told["failed"]) == (1, 2, 1, 0)
    assert told["shard"][0] == {
        "shard": 4,
        "state": "live",
        "reason": "READY",
        "since": NOW - 40,
        "host": None,
        "free": False,
        "pid": 99,
        "restarts": 0,
        "deaths": 1,
        "fresh": True,
        "memory_bytes": 5_000_000,
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
        "events_per_s": 3.0,
        "guilds": 2500,
        "session_age_s": 86_400.0,
    }
    assert told["shard"][1] == dict.fromkeys(told["shard"][0]) | {
        "shard": 5,
        "state": "starting",
        "reason": "not started yet",
        "since": NOW - 50,
        "free": False,
        "restarts": 0,
        "deaths": 0,
        "fresh": False,
    }
    assert (told["events_per_s"], told["guilds"]) == (3.0, 2500)


def test_figures_that_are_not_fresh_add_nothing_to_the_rate_of_all() -> None:
    moments = iter([10_000.0, 10_010.0, 10_012.0])
    board = Board([4], NOW, clock=lambda: next(moments, 10_018.5))
    board.changed(4, ShardState.LIVE, "READY", NOW)
    for events in (0, 10):
        board.beat(4, Pulse(events, 0, 0, 0, 0, None, None, None, 0, 0, 1, 9, None))
    told = document(RUN, board, now=NOW, shards=1, identifies=None, news=News())
    assert (told["ready"], told["events_per_s"], told["shard"][0]["events_per_s"]) == (0, 0.0, 5.0)


def test_what_operators_did_is_told() -> None:
    news = News(NOW - 5, Rolled(3, 16), Rolled(2, 16, "shard 2 failed: why", NOW - 90))
    told = document(RUN, None, now=NOW, shards=None, identifies=None, news=news)
    assert told["reloaded_at"] == NOW - 5
    assert told["rolling"] == {"done": 3, "total": 16}
    assert told["rolled"] == {"done": 2, "total": 16, "why": "shard 2 failed: why", "at": NOW - 90}


def test_the_moment_of_the_reset_is_told_by_the_wall_clock() -> None:
    budget = Budget(total=1000, remaining=900, reset_at=10_060.0, reserve=100)
    found = left(budget, 10_000.0, NOW)
    assert document(RUN, None, now=NOW, shards=None, identifies=found, news=News())["identifies"] == {
        "total": 1000,
        "remaining": 900,
        "spendable": 800,
        "resets_at": NOW + 60.0,
    }
    assert left(UNKNOWN, 10_000.0, NOW) is None


def three_hosts(**changes: Any) -> dict[str, Any]:
    """Return the part for hosts as host b sees it: shard 0 is a's, 1 and 2 are b's, 3 is c's, 4 nobody's."""
    all_ = [neighbour("a", [0]), neighbour("b", [1]), neighbour("c", [3], live=[])]
    return {**hosts("b", *all_, free=[4]), "leases": {"1": 13.0, "2": 14.9}, **changes}


def test_each_shard_is_told_with_its_host_and_how_it_is_there_as_far_as_that_is_known() -> None:
    board = Board(range(5), NOW - 50, clock=lambda: 10_000.0, away=[0, 3, 4])
    told = document(RUN, board, now=NOW, shards=5, identifies=None, news=News(), hosts=three_hosts())
    assert [(each["host"], each["free"], each["reason"]) for each in told["shard"]] == [
        ("a", False, "live on host a"),
        ("b", False, "not started yet"),
        ("b", False, "not started yet"),  # claimed a moment ago, and its entry doesn't say so yet
        ("c", False, "host c runs it, and it isn't live yet"),
        (None, True, "no host runs it"),
    ]
    assert (told["hosts"]["me"], told["total"], told["ids"]) == ("b", 2, [0, 1, 2, 3, 4])


def test_while_nats_does_not_answer_nobody_knows_whose_a_shard_is() -> None:
    board = Board(range(5), NOW - 50, clock=lambda: 10_000.0, away=[0, 3, 4])
    deaf = three_hosts(hosts=[], free=[])
    told = document(RUN, board, now=NOW, shards=5, identifies=None, news=News(), hosts=deaf)
    assert [each["host"] for each in told["shard"]] == [None, "b", "b", None, None]
    assert not any(each["free"] for each in told["shard"])


def test_a_shard_of_this_host_that_stops_for_another_one_is_not_free() -> None:
    board = Board([0], NOW - 50, clock=lambda: 10_000.0)
    board.changed(0, ShardState.LIVE, "READY", NOW)
    free = hosts("a", neighbour("a", []), free=[0])
    told = document(RUN, board, now=NOW, shards=1, identifies=None, news=News(), hosts=free)
    assert (told["shard"][0]["free"], told["shard"][0]["reason"]) == (False, "READY")
