from __future__ import annotations

from gwcluster.board import Board, Counts, ShardView
from gwcluster.wire.control import Pulse
from gwcluster.wire.notices import ShardState


class Clock:
    now = 10_000.0

    def __call__(self) -> float:
        return self.now


def pulse(degraded: str | None = None, *, events: int = 7, ack_age_s: float | None = 2.0) -> Pulse:
    return Pulse(
        events=events,
        unpushed=0,
        duplicates=0,
        gaps=0,
        unknown_ops=0,
        latency_s=0.05,
        event_age_s=1.0,
        ack_age_s=ack_age_s,
        resumes=0,
        identifies=1,
        session=1,
        offset=6,
        degraded=degraded,
        heartbeat_s=40.0,
    )


def test_shards_are_in_the_order_of_their_ids_and_not_started_at_first() -> None:
    board = Board([7, 3], 10_000.0, clock=Clock())
    assert list(board.views) == [3, 7]
    assert board.views[3] == ShardView(3, ShardState.STARTING, "not started yet", 10_000.0)
    assert board.counts == Counts(ready=0, total=2, degraded=0, failed=0)


def test_another_state_begins_now_and_the_same_one_goes_on_with_a_new_reason() -> None:
    board = Board([3], 10_000.0, clock=Clock())
    assert board.changed(3, ShardState.BACKOFF, "no network", 10_001.0)
    assert not board.changed(3, ShardState.BACKOFF, "refused", 10_002.0)
    assert board.views[3] == ShardView(3, ShardState.BACKOFF, "refused", 10_001.0)


def test_a_pulse_is_kept_with_its_moment_and_says_whether_the_log_is_degraded() -> None:
    clock = Clock()
    board = Board([3], 1_700_000_000.0, clock=clock)
    clock.now = 10_005.0
    board.beat(3, pulse("disk full"))
    view = board.views[3]
    assert (view.pulse, view.pulse_at, view.degraded) == (pulse("disk full"), 10_005.0, "disk full")
    clock.now = 10_010.0
    board.beat(3, pulse())
    assert (view.pulse_at, view.degraded) == (10_010.0, None)


def test_what_a_worker_said_of_itself_goes_with_it_and_the_shards_history_stays() -> None:
    board = Board([3], 10_000.0, clock=Clock())
    board.changed(3, ShardState.LIVE, "ready", 10_001.0)
    board.views[3].pid, board.views[3].restarts = 4711, 2
    board.beat(3, pulse("disk full"))
    board.gone(3)
    assert board.views[3] == ShardView(3, ShardState.LIVE, "ready", 10_001.0, restarts=2, live_at=10_000.0)


def test_shards_are_counted_by_what_matters() -> None:
    board = Board(range(5), 10_000.0, clock=Clock())
    for shard in (0, 1, 2):
        board.changed(shard, ShardState.LIVE, "", 10_001.0)
    board.changed(4, ShardState.FAILED, "died too often", 10_001.0)
    board.beat(2, pulse("disk full"))
    assert board.counts == Counts(ready=3, total=5, degraded=1, failed=1)
    board.gone(2)
    assert board.counts.degraded == 0


def live_board(clock: Clock) -> Board:
    board = Board([3], 1_700_000_000.0, clock=clock)
    board.changed(3, ShardState.LIVE, "READY", 1_700_000_000.0)
    return board


def test_events_are_counted_by_the_second_from_one_pulse_to_the_next() -> None:
    clock = Clock()
    board = live_board(clock)
    board.beat(3, pulse(events=7))
    assert board.views[3].events_per_s is None
    clock.now += 2.0
    board.beat(3, pulse(events=107))
    assert board.views[3].events_per_s == 50.0
    board.beat(3, pulse(events=200))  # read late, right behind the one before
    assert board.views[3].events_per_s == 50.0
    board.gone(3)
    board.beat(3, pulse(events=5))  # the next worker counts anew
    assert board.views[3].events_per_s is None


def test_a_live_shard_is_ready_at_once_and_no_longer_when_its_worker_is_silent() -> None:
    clock = Clock()
    board = live_board(clock)
    assert board.counts.ready == 1
    clock.now += 6.1
    assert board.counts.ready == 0
    board.beat(3, pulse())
    assert board.counts.ready == 1
    clock.now += 6.1
    assert (board.counts.ready, board.views[3].state) == (0, ShardState.LIVE)


def test_a_live_shard_whose_last_ack_is_too_old_is_not_ready() -> None:
    clock = Clock()
    board = live_board(clock)
    for ack_age_s, ready in ((69.0, 1), (71.0, 0)):  # 1.5 times 40 s and 10 s
        clock.now = 10_100.0
        board.beat(3, pulse(ack_age_s=ack_age_s))
        assert board.counts.ready == ready
    board.beat(3, pulse(ack_age_s=69.0))
    clock.now += 2.0
    assert board.counts.ready == 0  # figures grow old, too


def test_a_shard_that_never_got_an_ack_is_ready_for_as_long_as_one_may_take() -> None:
    clock = Clock()
    board = live_board(clock)
    for seconds, ready in ((69.0, 1), (71.0, 0)):
        clock.now = 10_000.0 + seconds
        board.beat(3, pulse(ack_age_s=None))
        assert board.counts.ready == ready


def test_a_shard_that_has_just_resumed_is_not_blamed_for_the_acks_of_before() -> None:
    clock = Clock()
    board = live_board(clock)
    board.changed(3, ShardState.RESUMING, "", 1_700_000_001.0)
    clock.now += 500.0
    board.changed(3, ShardState.LIVE, "RESUMED", 1_700_000_501.0)
    board.beat(3, pulse(ack_age_s=500.0))
    assert board.counts.ready == 1


def test_shards_that_other_hosts_may_run_are_not_counted_before_they_are_ours() -> None:
    board = Board(range(4), 10_000.0, clock=Clock(), away=[1, 2, 3])
    assert [view.state.value for view in board.views.values()] == ["starting", *["elsewhere"] * 3]
    assert board.counts == Counts(ready=0, total=1, degraded=0, failed=0)
    board.changed(1, ShardState.FAILED, "died 6 times", 10_001.0)
    board.views[2].degraded = "of an earlier time here"
    assert board.counts == Counts(ready=0, total=2, degraded=0, failed=1)
    board.changed(0, ShardState.ELSEWHERE, "another host is to run it", 10_002.0)
    board.changed(1, ShardState.ELSEWHERE, "another host is to run it", 10_002.0)
    assert board.counts == Counts(ready=0, total=0, degraded=0, failed=0)
