from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gwcluster.supervise.supervisor import Kill, Severity, Start, Supervisor, Verdict

SIGTERM, SIGKILL = 15, 9
REFUSED, SHARD_REFUSED, BUSY = 64, 65, 75


def make(*shards: int, restarts: int = 5) -> Supervisor:
    return Supervisor(shards, restarts=restarts, within_s=60.0, now=10_000.0, jitter=lambda: 1.0)


def running(*shards: int, restarts: int = 5, live: bool = True) -> Supervisor:
    """All shards run, with pid 100 + shard, since 10,000."""
    supervisor = make(*shards, restarts=restarts)
    begin(supervisor, 10_000.0, live=live)
    return supervisor


def begin(supervisor: Supervisor, now: float, *, live: bool = True) -> None:
    for effect in supervisor.step(now):
        assert isinstance(effect, Start)
        supervisor.started(effect.shard, 100 + effect.shard, now)
        if live:
            supervisor.live(effect.shard, now)


def test_every_shard_is_started_once() -> None:
    supervisor = make(3, 1)
    assert supervisor.due == 10_000.0
    assert supervisor.step(10_000.0) == [Start(1, attempt=1), Start(3, attempt=1)]
    assert supervisor.step(10_001.0) == []
    assert supervisor.due is None
    supervisor.started(1, 101, 10_001.0)
    assert supervisor.children == {1: 101, 3: None}


def test_a_worker_that_was_live_is_started_again_at_once_and_its_death_cost_nothing() -> None:
    supervisor = running(0)
    verdict = supervisor.exited(0, -9, 10_010.0)
    assert verdict == Verdict(
        "shard 0: the worker was killed by SIGKILL after it was live (a RESUME is free); "
        "starting it again in 0.0 s",
        Severity.WARNING,
    )
    assert supervisor.step(10_010.0) == [Start(0, attempt=2)]


def test_a_worker_that_was_never_live_waits_longer_each_time_and_may_have_cost_an_identify() -> None:
    supervisor = running(0, live=False)
    now, waits = 10_000.0, []
    for _ in range(4):
        verdict = supervisor.exited(0, 1, now)
        assert "an identify may have been spent" in verdict.text
        due = supervisor.due or 0.0
        waits.append(due - now)
        assert supervisor.step(due - 0.01) == []
        now = due
        begin(supervisor, now, live=False)
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_a_shard_that_comes_up_and_falls_over_does_not_start_at_once_for_ever() -> None:
    supervisor = running(0)
    supervisor.exited(0, 1, 10_002.0)
    begin(supervisor, 10_002.0)
    supervisor.exited(0, 1, 10_004.0)
    assert supervisor.due == 10_005.0


def test_health_counts_from_the_first_time_live_whatever_was_resumed_since() -> None:
    supervisor = running(0)
    supervisor.exited(0, 1, 10_002.0)
    begin(supervisor, 10_002.0)
    supervisor.live(0, 10_061.0)
    supervisor.exited(0, 1, 10_062.0)
    assert supervisor.due == 10_062.0


def test_one_death_too_many_fails_that_shard_and_the_others_go_on() -> None:
    supervisor = running(0, 1, restarts=2)
    now = 10_000.0
    for _ in range(2):
        supervisor.exited(0, 1, now)
        now = supervisor.due or 0.0
        begin(supervisor, now)
    verdict = supervisor.exited(0, 1, now)
    assert verdict.severity is Severity.ERROR
    assert supervisor.failed == {0: "died 3 times within 60 s; last, it failed (status 1)"}
    assert supervisor.due is None
    assert supervisor.step(now + 1e6) == []
    assert supervisor.children == {1: 101}
    assert not supervisor.finished


def test_an_exit_by_itself_is_a_death_too() -> None:
    supervisor = running(0)
    supervisor.exited(0, 0, 10_001.0)
    assert supervisor.died(0) == 1
    assert supervisor.due == 10_001.0


def test_a_held_log_is_tried_again_later_and_counts() -> None:
    supervisor = running(0, live=False, restarts=1)
    assert "no identify was spent" in supervisor.exited(0, BUSY, 10_000.0).text
    assert supervisor.due == 10_001.0
    begin(supervisor, 10_001.0, live=False)
    supervisor.exited(0, BUSY, 10_001.0)
    assert 0 in supervisor.failed


def test_a_shard_that_discord_refuses_is_never_tried_again() -> None:
    supervisor = running(0, 1)
    assert supervisor.exited(0, SHARD_REFUSED, 10_001.0).severity is Severity.ERROR
    assert supervisor.failed == {0: "was refused by Discord for this shard (status 65)"}
    assert supervisor.step(1e9) == []
    assert supervisor.refused is None


def test_a_cluster_that_discord_refuses_starts_nothing_more_but_what_runs_goes_on() -> None:
    supervisor = running(0, 1, 2)
    supervisor.exited(2, 1, 10_001.0)
    verdict = supervisor.exited(0, REFUSED, 10_001.0)
    assert verdict.severity is Severity.ERROR
    assert (
        supervisor.refused == "the worker of shard 0 was refused by Discord for the whole cluster (status 64)"
    )
    assert supervisor.step(1e9) == []
    assert supervisor.children == {1: 101}
    assert not supervisor.finished
    assert "Discord refuses the cluster" in (supervisor.restart(0, 1e9) or "")
    supervisor.exited(1, -9, 1e9)
    assert supervisor.step(2e9) == []
    assert supervisor.finished


def test_an_operator_wakes_a_shard_out_of_backoff() -> None:
    supervisor = running(0, live=False)
    supervisor.exited(0, 1, 10_000.0)
    assert supervisor.backing_off == {0: 10_001.0}
    assert supervisor.restart(0, 10_000.2) is None
    assert supervisor.step(10_000.2) == [Start(0, attempt=2)]


@pytest.mark.parametrize("status", [1, SHARD_REFUSED])
def test_an_operator_revives_a_failed_shard_with_a_clean_slate(status: int) -> None:
    supervisor = running(0, restarts=1)
    supervisor.exited(0, 1, 10_000.0)
    begin(supervisor, 10_000.0)
    supervisor.exited(0, status, 10_000.0)
    assert supervisor.finished
    assert supervisor.restart(0, 10_001.0) is None
    assert supervisor.failed == {}
    assert supervisor.step(10_001.0) == [Start(0, attempt=3)]
    supervisor.exited(0, 1, 10_001.0)
    assert supervisor.due == 10_002.0


def test_an_operator_restarts_a_running_shard_and_that_is_no_death() -> None:
    supervisor = running(0, 1)
    supervisor.restart(0, 10_005.0)
    supervisor.restart(0, 10_005.0)
    assert supervisor.step(10_005.0) == [Kill(0, SIGTERM)]
    assert supervisor.exited(0, 0, 10_006.0).severity is Severity.INFO
    assert supervisor.step(10_006.0) == [Start(0, attempt=2)]
    assert (supervisor.died(0), supervisor.died(1)) == (0, 0)


def test_a_worker_that_does_not_stop_for_an_operator_is_killed_until_it_is_gone() -> None:
    supervisor = running(0)
    supervisor.restart(0, 10_005.0)
    supervisor.step(10_005.0)
    assert supervisor.due == 10_015.0
    assert supervisor.step(10_015.0) == [Kill(0, SIGKILL)]
    assert supervisor.step(10_015.5) == []
    assert supervisor.step(10_016.0) == [Kill(0, SIGKILL)]


def test_a_shard_of_another_cluster_cannot_be_restarted() -> None:
    assert running(0).restart(7, 10_000.0) == "shard 7 is not run by this cluster"


def test_a_drain_asks_then_kills_and_starts_nothing() -> None:
    supervisor = running(0, 1, 2)
    supervisor.exited(2, 1, 10_001.0)
    supervisor.drain(10_001.0, deadline_s=8.0)
    assert supervisor.step(10_001.0) == [Kill(0, SIGTERM), Kill(1, SIGTERM)]
    assert supervisor.exited(0, 0, 10_002.0).severity is Severity.INFO
    assert supervisor.due == 10_009.0
    assert supervisor.step(10_009.0) == [Kill(1, SIGKILL)]
    assert not supervisor.finished
    supervisor.exited(1, -9, 10_009.1)
    assert supervisor.finished
    assert supervisor.failed == {}
    assert supervisor.restart(1, 10_010.0) == "the cluster is stopping"


def test_a_second_drain_brings_the_end_forward() -> None:
    supervisor = running(0)
    supervisor.drain(10_000.0, deadline_s=8.0)
    supervisor.step(10_000.0)
    supervisor.drain(10_001.0, deadline_s=0.0)
    assert supervisor.step(10_001.0) == [Kill(0, SIGKILL)]
    supervisor.drain(10_001.0, deadline_s=100.0)
    assert supervisor.due == 10_002.0


def test_a_worker_that_was_asked_to_stop_is_not_asked_twice() -> None:
    supervisor = running(0)
    supervisor.restart(0, 10_000.0)
    supervisor.step(10_000.0)
    supervisor.drain(10_001.0, deadline_s=8.0)
    assert supervisor.step(10_001.0) == []
    assert supervisor.due == 10_009.0


def test_a_worker_whose_pid_comes_late_is_stopped_all_the_same() -> None:
    supervisor = make(0)
    supervisor.step(10_000.0)
    supervisor.drain(10_000.5, deadline_s=8.0)
    assert supervisor.step(10_000.5) == []
    supervisor.started(0, 100, 10_001.0)
    assert supervisor.step(10_001.0) == [Kill(0, SIGTERM)]


def test_a_nursery_that_ends_takes_all_workers_and_no_shard_is_blamed() -> None:
    supervisor = running(0, 1, restarts=0)
    supervisor.exited(1, 1, 10_000.0)  # failed on its own account
    supervisor.nursery_died(10_001.0)
    assert supervisor.failed.keys() == {0, 1}  # restarts=0 bounds the nursery as well

    supervisor = running(0, 1, restarts=1)
    assert supervisor.nursery_died(10_001.0).severity is Severity.WARNING
    assert supervisor.step(10_001.0) == [Start(0, attempt=2), Start(1, attempt=2)]
    assert (supervisor.died(0), supervisor.died(1)) == (0, 0)


def test_a_nursery_that_keeps_ending_is_started_later_each_time_and_then_not_at_all() -> None:
    supervisor = running(0, 1, restarts=3)
    now, waits = 10_000.0, []
    for _ in range(3):
        supervisor.nursery_died(now)
        waits.append((supervisor.due or 0.0) - now)
        now = supervisor.due or 0.0
        begin(supervisor, now)
    assert waits == [0.0, 1.0, 2.0]
    assert supervisor.nursery_died(now).severity is Severity.ERROR
    assert supervisor.failed == dict.fromkeys((0, 1), "the nursery ended 4 times within 60 s")
    assert supervisor.finished


def test_a_nursery_that_held_for_a_minute_is_started_at_once_again() -> None:
    supervisor = running(0)
    for died_at, due in [(10_100.0, 10_100.0), (10_101.0, 10_102.0), (10_161.0, 10_161.0)]:
        supervisor.nursery_died(died_at)
        assert supervisor.due == due
        begin(supervisor, due)


def test_a_nursery_that_ends_does_not_wake_shards_out_of_backoff() -> None:
    supervisor = running(0, 1, live=False)
    for now in (10_000.0, 10_001.0, 10_003.0):
        supervisor.exited(0, 1, now)
        begin(supervisor, now + 4.0, live=False) if now < 10_003.0 else None
    due = supervisor.backing_off[0]
    supervisor.nursery_died(10_003.5)
    assert supervisor.backing_off == {0: due, 1: 10_003.5}


def test_a_late_report_about_a_worker_that_is_not_known_changes_nothing() -> None:
    supervisor = running(0)
    supervisor.exited(0, 1, 10_001.0)
    supervisor.exited(0, REFUSED, 10_001.0)
    supervisor.started(0, 123, 10_001.0)
    supervisor.live(0, 10_001.0)
    assert supervisor.refused is None
    assert supervisor.children == {}


def test_a_refusal_of_the_whole_cluster_is_an_error_once_however_many_shards_hear_it() -> None:
    supervisor = running(0, 1)
    verdicts = [supervisor.exited(shard, REFUSED, 10_001.0) for shard in (0, 1)]
    assert [verdict.severity for verdict in verdicts] == [Severity.ERROR, Severity.WARNING]
    assert set(supervisor.failed) == {0, 1}


ACTIONS = st.one_of(
    st.tuples(st.just("exit"), st.integers(0, 2), st.sampled_from([0, 1, -9, 65, 75, 64])),
    st.tuples(st.sampled_from(["live", "restart", "started"]), st.integers(0, 2), st.just(0)),
    st.tuples(st.sampled_from(["nursery", "drain"]), st.just(0), st.just(0)),
    st.tuples(st.just("wait"), st.integers(0, 70), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=50))
@example(actions=[("exit", 0, 1), ("nursery", 0, 0), ("restart", 0, 0), ("exit", 0, 1)])
def test_a_shard_has_one_worker_at_most_and_what_is_given_up_stays_so(
    actions: list[tuple[str, int, int]],
) -> None:
    supervisor, now, alive = make(0, 1, 2, restarts=2), 10_000.0, set[int]()
    started_ever = False
    for action, number, status in [("wait", 0, 0), *actions]:
        before = set(supervisor.failed)
        match action:
            case "exit":
                alive.discard(number)
                supervisor.exited(number, status, now)
            case "live":
                supervisor.live(number, now)
            case "started":
                supervisor.started(number, 100 + number, now)
            case "restart":
                if supervisor.restart(number, now) is None:
                    before.discard(number)
            case "nursery":
                alive.clear()
                supervisor.nursery_died(now)
            case "drain":
                supervisor.drain(now, 8.0)
            case _:
                now += number
        stopped = supervisor.refused is not None or supervisor.draining
        for effect in supervisor.step(now):
            if isinstance(effect, Start):
                assert effect.shard not in alive
                assert effect.shard not in supervisor.failed
                assert not stopped
                alive.add(effect.shard)
                started_ever = True
            else:
                assert effect.shard in alive
        assert before <= set(supervisor.failed)
        assert set(supervisor.children) == alive
        assert supervisor.due is None or supervisor.due > now  # or its shell would spin
        assert supervisor.finished == (not alive and supervisor.due is None)
    assert started_ever


def test_a_worker_that_waits_in_vain_in_a_refused_cluster_is_stopped_and_the_live_one_is_not() -> None:
    supervisor = running(0, 1, 2)
    supervisor.exited(0, REFUSED, 10_001.0)
    supervisor.stop(1, 10_001.0)
    supervisor.stop(1, 10_002.0)
    assert supervisor.step(10_002.0) == [Kill(1, SIGTERM)]
    assert supervisor.step(10_003.0) == []
    stopped = supervisor.exited(1, 0, 10_003.0)
    assert stopped == Verdict("shard 1: stopped, as Discord refuses the cluster", Severity.INFO)
    assert set(supervisor.failed) == {0, 1}
    assert supervisor.children == {2: 102}
    assert not supervisor.finished


def test_a_worker_that_stops_when_the_cluster_does_is_worth_no_more_than_a_word() -> None:
    supervisor = running(0)
    supervisor.drain(10_001.0, 6.0)
    assert supervisor.exited(0, 0, 10_002.0) == Verdict("shard 0: stopped", Severity.INFO)


def test_shards_that_are_to_start_later_wait_for_their_release_and_nobody_waits_for_them() -> None:
    supervisor = Supervisor(
        [0, 1, 2], restarts=5, within_s=60.0, now=10_000.0, jitter=lambda: 1.0, later={1, 2}
    )
    assert supervisor.step(10_000.0) == [Start(0, attempt=1)]
    supervisor.started(0, 100, 10_000.0)
    assert supervisor.due is None
    assert supervisor.backing_off == {}
    assert not supervisor.finished
    supervisor.release(10_500.0)
    assert supervisor.due == 10_500.0
    assert supervisor.step(10_500.0) == [Start(1, attempt=1), Start(2, attempt=1)]


@pytest.mark.parametrize(("count", "moments"), [(4, [0.0] * 4), (5, [0.0, 0.5, 1.0, 1.5, 2.0])])
def test_more_than_four_shards_that_resume_together_start_over_two_seconds(
    count: int, moments: list[float]
) -> None:
    # That connections aren't limited and should yet be spread was said by Discord's staff in
    # https://github.com/discord/discord-api-docs/issues/1369
    dice = cycle([0.0, 0.25, 0.5, 0.75, 1.0])
    supervisor = Supervisor(
        range(9), restarts=5, within_s=60.0, now=10_000.0, jitter=lambda: next(dice), later=range(count, 9)
    )
    starts = {shard: 10_000.0 + moment for shard, moment in enumerate(moments)}
    assert supervisor.backing_off == starts
    begin(supervisor, 10_002.0)
    supervisor.nursery_died(10_100.0)
    assert supervisor.backing_off == {shard: at + 100.0 for shard, at in starts.items()}
    supervisor.release(10_200.0)
    assert {supervisor.backing_off[shard] for shard in range(count, 9)} == {10_200.0}, "permits pace these"


def test_an_operator_may_start_a_shard_before_its_release() -> None:
    supervisor = Supervisor([0], restarts=5, within_s=60.0, now=10_000.0, jitter=lambda: 1.0, later={0})
    assert supervisor.restart(0, 10_100.0) is None
    assert supervisor.step(10_100.0) == [Start(0, attempt=1)]


# Several hosts: a shard may be another one's to run


def lent(*shards: int) -> Supervisor:
    """None of the shards is this host's."""
    return Supervisor(
        shards, restarts=5, within_s=60.0, now=10_000.0, jitter=lambda: 1.0, away=frozenset(shards)
    )


def test_a_spare_host_starts_nothing_and_does_not_end() -> None:
    supervisor = lent(0, 1)
    assert supervisor.step(10_000.0) == []
    assert supervisor.due is None
    assert not supervisor.finished
    assert supervisor.restart(0, 10_001.0) == "shard 0 is not run by this host"
    assert supervisor.restart_all(10_001.0) == "this host runs no shard at present"
    assert supervisor.step(10_002.0) == []


def test_a_spare_host_ends_when_it_is_stopped_or_refused() -> None:
    supervisor = lent(0)
    supervisor.drain(10_001.0, 6.0)
    assert supervisor.finished
    supervisor = lent(0)
    supervisor.refused = "a bad token"
    assert supervisor.finished


def test_a_shard_that_is_taken_starts_and_one_that_is_given_up_stops_and_stays_away() -> None:
    supervisor = lent(0, 1)
    supervisor.take(1, 10_001.0)
    assert supervisor.step(10_001.0) == [Start(1, attempt=1)]
    supervisor.started(1, 101, 10_001.0)
    supervisor.live(1, 10_002.0)
    supervisor.take(1, 10_003.0)  # once more is not once again
    supervisor.give_up(1, 10_010.0)
    supervisor.give_up(1, 10_011.0)
    assert supervisor.step(10_011.0) == [Kill(1, SIGTERM)]
    assert supervisor.exited(1, 0, 10_012.0) == Verdict("shard 1: stopped, for another host to run it")
    assert supervisor.step(10_100.0) == []
    assert not supervisor.finished


def test_a_worker_that_does_not_stop_for_another_host_is_killed() -> None:
    supervisor = lent(0)
    supervisor.take(0, 10_000.0)
    begin(supervisor, 10_000.0)
    supervisor.give_up(0, 10_010.0)
    assert supervisor.step(10_010.0) == [Kill(0, SIGTERM)]
    assert supervisor.step(10_020.0) == [Kill(0, SIGKILL)]
    assert supervisor.exited(0, -9, 10_020.0).severity is Severity.WARNING
    assert supervisor.step(10_100.0) == []


@pytest.mark.parametrize("status", [77, 79])
def test_a_worker_without_a_lease_or_behind_a_fence_is_not_started_again_here(status: int) -> None:
    supervisor = running(0, 1)
    for _ in range(9):  # however often, it is no failure of the shard
        verdict = supervisor.exited(0, status, 10_010.0)
        assert verdict.severity is Severity.WARNING
        assert "no longer this host's" in verdict.text
        assert supervisor.step(10_100.0) == []
        supervisor.take(0, 10_200.0)
        begin(supervisor, 10_200.0)
    assert supervisor.failed == {}
    assert supervisor.died(0) == 0


def test_a_shard_that_comes_back_while_it_stops_is_started_again() -> None:
    supervisor = running(0)
    supervisor.give_up(0, 10_010.0)
    assert supervisor.step(10_010.0) == [Kill(0, SIGTERM)]
    supervisor.take(0, 10_010.5)
    assert supervisor.exited(0, 0, 10_011.0).severity is Severity.INFO
    assert supervisor.step(10_011.0) == [Start(0, attempt=2)]


def test_a_nursery_that_keeps_dying_fails_only_the_shards_of_this_host() -> None:
    supervisor = lent(0, 1)
    supervisor.take(1, 10_000.0)
    for _ in range(6):
        begin(supervisor, supervisor.due or 0.0)
        supervisor.nursery_died(supervisor.due or 10_000.0)
    assert supervisor.failed.keys() == {1}
    supervisor.give_up(1, 10_100.0)
    assert supervisor.failed == {}, "another host may have better luck"
