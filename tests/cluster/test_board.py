from __future__ import annotations

from gwcluster.board import Board, Counts, ShardView
from gwcluster.wire.control import Pulse
from gwcluster.wire.notices import ShardState


def pulse(degraded: str | None = None) -> Pulse:
    return Pulse(
        events=7,
        unpushed=0,
        duplicates=0,
        gaps=0,
        unknown_ops=0,
        latency_s=0.05,
        event_age_s=1.0,
        ack_age_s=2.0,
        resumes=0,
        identifies=1,
        session=1,
        offset=6,
        degraded=degraded,
    )


def test_shards_are_in_the_order_of_their_ids_and_not_started_at_first() -> None:
    board = Board([7, 3], 10_000.0)
    assert list(board.views) == [3, 7]
    assert board.views[3] == ShardView(3, ShardState.STARTING, "not started yet", 10_000.0)
    assert board.counts == Counts(ready=0, total=2, degraded=0, failed=0)


def test_another_state_begins_now_and_the_same_one_goes_on_with_a_new_reason() -> None:
    board = Board([3], 10_000.0)
    assert board.changed(3, ShardState.BACKOFF, "no network", 10_001.0)
    assert not board.changed(3, ShardState.BACKOFF, "refused", 10_002.0)
    assert board.views[3] == ShardView(3, ShardState.BACKOFF, "refused", 10_001.0)


def test_a_pulse_is_kept_with_its_moment_and_says_whether_the_log_is_degraded() -> None:
    board = Board([3], 10_000.0)
    board.beat(3, pulse("disk full"), 10_005.0)
    view = board.views[3]
    assert (view.pulse, view.pulse_at, view.degraded) == (pulse("disk full"), 10_005.0, "disk full")
    board.beat(3, pulse(), 10_010.0)
    assert (view.pulse_at, view.degraded) == (10_010.0, None)


def test_what_a_worker_said_of_itself_goes_with_it_and_the_shards_history_stays() -> None:
    board = Board([3], 10_000.0)
    board.changed(3, ShardState.LIVE, "ready", 10_001.0)
    board.views[3].pid, board.views[3].restarts = 4711, 2
    board.beat(3, pulse("disk full"), 10_005.0)
    board.gone(3)
    assert board.views[3] == ShardView(3, ShardState.LIVE, "ready", 10_001.0, restarts=2)


def test_shards_are_counted_by_what_matters() -> None:
    board = Board(range(5), 10_000.0)
    for shard in (0, 1, 2):
        board.changed(shard, ShardState.LIVE, "", 10_001.0)
    board.changed(4, ShardState.FAILED, "died too often", 10_001.0)
    board.beat(2, pulse("disk full"), 10_002.0)
    assert board.counts == Counts(ready=3, total=5, degraded=1, failed=1)
    board.gone(2)
    assert board.counts.degraded == 0
