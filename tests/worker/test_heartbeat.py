"""Quoted is https://docs.discord.com/developers/events/gateway#sending-heartbeats."""

from __future__ import annotations

import pytest

from gwworker.heartbeat import Heartbeat, Verdict
from gwworker.ratelimit import SendBudget

START = 10_000.0
BEAT, MISSED, WAIT, ZOMBIE, ALIVE = (
    Verdict.BEAT,
    Verdict.MISSED,
    Verdict.WAIT,
    Verdict.ZOMBIE,
    Verdict.ALIVE,
)


def beating(interval_s: float = 40.0, jitter: float = 0.5) -> Heartbeat:
    heartbeat = Heartbeat(SendBudget())
    heartbeat.start(interval_s, START, jitter)
    return heartbeat


def test_there_is_no_beat_before_a_connection() -> None:
    assert Heartbeat(SendBudget()).due is None


@pytest.mark.parametrize(("jitter", "first"), [(0.0, 0.0), (0.5, 20.625), (0.999, 41.20875)])
def test_the_first_beat_is_due_after_jitter_times_the_interval(jitter: float, first: float) -> None:
    # "wait heartbeat_interval * jitter where jitter is any random value between 0 and 1, then send its first
    # Heartbeat"
    assert beating(41.25, jitter).due == pytest.approx(START + first)


def test_the_next_beat_is_due_one_interval_after_the_last_was_sent() -> None:
    heartbeat = beating()
    assert heartbeat.tick(START + 20.0) is BEAT
    assert heartbeat.due == START + 60.0
    heartbeat.acked(START + 20.1)
    assert heartbeat.tick(START + 60.7) is BEAT
    assert heartbeat.due == START + 100.7


def test_an_acknowledged_beat_is_no_zombie() -> None:
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    heartbeat.acked(START + 59.9)
    assert heartbeat.tick(START + 60.0) is BEAT


def test_no_ack_and_silence_for_an_interval_is_a_zombie() -> None:
    # "If a client does not receive a heartbeat ACK between its attempts at sending heartbeats, this may be
    # due to a failed or 'zombied' connection."
    heartbeat = beating()
    heartbeat.heard(START + 19.9)
    heartbeat.tick(START + 20.0)
    assert heartbeat.tick(START + 60.0) is ZOMBIE


def test_no_ack_but_traffic_is_a_zombie_after_two_intervals() -> None:
    # Stricter than to wait for ever, more patient than the documentation: what still delivers is alive.
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    heartbeat.heard(START + 59.9)
    assert heartbeat.tick(START + 60.0) is MISSED
    heartbeat.heard(START + 99.9)
    assert heartbeat.tick(START + 100.0) is ZOMBIE


def test_a_late_ack_within_two_intervals_saves_a_connection_with_traffic() -> None:
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    heartbeat.heard(START + 59.0)
    heartbeat.tick(START + 60.0)
    heartbeat.acked(START + 99.0)
    heartbeat.heard(START + 99.0)
    assert heartbeat.tick(START + 100.0) is BEAT


def test_the_last_jitter_and_an_ack_300_ms_late_are_no_zombie() -> None:
    heartbeat = beating(jitter=0.999)
    assert heartbeat.tick(START + 39.96) is BEAT
    assert heartbeat.due == START + 79.96, "a whole interval for the ACK"
    heartbeat.acked(START + 40.26)
    assert heartbeat.tick(START + 79.96) is BEAT


def test_after_a_stall_of_our_own_what_came_meanwhile_is_read_first() -> None:
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    assert heartbeat.tick(START + 80.0) is WAIT
    assert heartbeat.due == START + 81.0
    heartbeat.heard(START + 80.1)
    heartbeat.acked(START + 80.1)
    assert heartbeat.tick(START + 81.0) is BEAT


def test_after_a_stall_and_a_second_of_silence_it_is_a_zombie_after_all() -> None:
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    assert heartbeat.tick(START + 80.0) is WAIT
    assert heartbeat.tick(START + 81.0) is ZOMBIE


def test_a_stall_while_nothing_is_awaited_only_delays_the_beat() -> None:
    heartbeat = beating()
    assert heartbeat.tick(START + 300.0) is BEAT


def test_a_beat_on_request_moves_no_timer() -> None:
    # "immediately send back another Heartbeat event without waiting the remainder of the current interval"
    heartbeat = beating()
    assert heartbeat.requested(START + 5.0)
    assert heartbeat.due == START + 20.0


def test_a_beat_on_request_is_not_judged_by_the_next_regular_one() -> None:
    heartbeat = beating()
    heartbeat.heard(START + 19.9)
    heartbeat.requested(START + 19.9)
    assert heartbeat.tick(START + 20.0) is BEAT


def test_a_peer_that_asks_for_beats_and_then_falls_silent_is_found_out_at_the_next_regular_beat_but_one() -> (
    None
):
    heartbeat = beating()
    heartbeat.heard(START + 19.9)
    heartbeat.requested(START + 19.9)
    assert heartbeat.tick(START + 20.0) is BEAT
    assert heartbeat.tick(START + 60.0) is ZOMBIE


def test_a_doubted_connection_is_asked_for_a_sign_of_life_and_lives_if_anything_comes() -> None:
    heartbeat = beating()
    assert heartbeat.doubt(START + 5.0), "a beat is to be sent now"
    assert heartbeat.due == START + 15.0
    assert not heartbeat.doubt(START + 6.0), "one question is enough"
    heartbeat.heard(START + 5.1)
    assert heartbeat.tick(START + 15.0) is ALIVE
    assert heartbeat.due == START + 20.0, "the regular beat stays where it was"


def test_a_doubted_connection_that_says_nothing_for_ten_seconds_is_a_zombie() -> None:
    heartbeat = beating()
    heartbeat.heard(START + 5.0)
    heartbeat.doubt(START + 5.0)
    assert heartbeat.tick(START + 15.0) is ZOMBIE


def test_an_answer_in_the_moment_of_the_question_counts() -> None:
    heartbeat = beating()
    heartbeat.doubt(START + 5.0)
    heartbeat.heard(START + 5.0)
    assert heartbeat.tick(START + 15.0) is ALIVE


def test_a_connection_on_which_no_beat_may_be_sent_is_not_judged() -> None:
    heartbeat = beating()
    while heartbeat.requested(START + 1.0):
        pass
    assert not heartbeat.doubt(START + 5.0)
    assert heartbeat.due == START + 20.0


def test_without_a_connection_there_is_nothing_to_doubt() -> None:
    assert not Heartbeat(SendBudget()).doubt(START)


def test_an_ack_after_a_missed_one_is_measured_from_the_newest_beat() -> None:
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    heartbeat.heard(START + 59.0)
    heartbeat.tick(START + 60.0)
    heartbeat.acked(START + 60.2)
    assert heartbeat.latency_s == pytest.approx(0.2)


def test_of_beats_on_request_at_most_50_go_out_in_a_minute() -> None:
    # 120 payloads in 60 s, beats among them; another Hello may ask for as many as one a second
    heartbeat = beating()
    answers = [heartbeat.requested(START + 0.1 * n) for n in range(130)]
    assert answers.count(True) == 50
    assert not heartbeat.requested(START + 59.9)
    assert heartbeat.requested(START + 61.1)


def test_the_limit_on_answers_begins_anew_with_a_connection_and_not_with_its_hello() -> None:
    budget = SendBudget()
    heartbeat = Heartbeat(budget)
    while heartbeat.requested(START):
        pass
    heartbeat.start(40.0, START + 1.0, 0.5)
    assert not heartbeat.requested(START + 1.0)
    budget.start()
    heartbeat.start(40.0, START + 1.0, 0.5)
    assert heartbeat.requested(START + 1.0)


def test_latency_is_from_a_beat_to_its_own_ack() -> None:
    heartbeat = beating()
    assert heartbeat.latency_s is None
    heartbeat.tick(START + 20.0)
    heartbeat.requested(START + 20.05)
    heartbeat.acked(START + 20.25)
    assert heartbeat.latency_s == pytest.approx(0.25)
    heartbeat.acked(START + 20.35)
    assert heartbeat.latency_s == pytest.approx(0.3)


def test_an_ack_that_nobody_asked_for_shows_nothing() -> None:
    heartbeat = beating()
    heartbeat.acked(START + 1.0)
    assert (heartbeat.latency_s, heartbeat.acked_at) == (None, None)
    heartbeat.tick(START + 20.0)
    heartbeat.acked(START + 20.25)
    heartbeat.acked(START + 30.0)
    assert heartbeat.acked_at == START + 20.25, "a shard is no fresher for spare ones"


def test_a_new_interval_counts_from_the_next_beat_on() -> None:
    heartbeat = beating()
    heartbeat.adopt(10.0, START + 15.0)
    assert heartbeat.due == START + 20.0
    heartbeat.tick(START + 20.0)
    assert heartbeat.due == START + 30.0


def test_a_new_interval_that_is_over_sooner_brings_the_next_beat_forward() -> None:
    heartbeat = beating()
    heartbeat.adopt(10.0, START + 1.0)
    assert heartbeat.due == START + 11.0
    heartbeat.adopt(60.0, START + 2.0)
    assert heartbeat.due == START + 11.0, "a longer one delays nothing"


def test_a_beat_that_one_connection_never_acknowledged_is_none_of_the_next_ones_business() -> None:
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    heartbeat.start(40.0, START + 50.0, 0.5)
    assert heartbeat.tick(START + 70.0) is BEAT
    heartbeat.heard(START + 109.0)
    assert heartbeat.tick(START + 110.0) is MISSED, "a whole interval of its own"


def test_nothing_of_one_connection_is_left_for_the_next() -> None:
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    heartbeat.tick(START + 80.0)
    heartbeat.acked(START + 80.0)
    heartbeat.requested(START + 80.0)
    heartbeat.stop()
    assert (heartbeat.due, heartbeat.latency_s, heartbeat.acked_at) == (None, None, None)
    heartbeat.start(40.0, START + 90.0, 0.5)
    heartbeat.acked(START + 91.0)
    assert heartbeat.latency_s is None
    assert heartbeat.tick(START + 110.0) is BEAT
    assert heartbeat.tick(START + 150.0) is ZOMBIE


def test_who_can_not_read_beats_on_time_and_judges_nothing() -> None:
    heartbeat = beating()
    assert not heartbeat.blind(START + 19.9)
    assert [heartbeat.blind(START + moment) for moment in (20.0, 20.1, 60.0, 100.0, 140.5)] == [
        True, False, True, True, True,
    ]  # fmt: skip
    assert heartbeat.due == START + 180.5
    heartbeat.stop()
    assert not heartbeat.blind(START + 999.0)


def test_who_can_read_again_has_an_interval_to_find_the_acks_that_wait() -> None:
    heartbeat = beating()
    heartbeat.tick(START + 20.0)
    for moment in (60.0, 100.0):
        assert heartbeat.blind(START + moment)
    heartbeat.sighted(START + 139.0)
    assert heartbeat.tick(START + 140.0) is BEAT
    heartbeat.heard(START + 140.1)
    for _ in range(4):
        heartbeat.acked(START + 140.1)
    assert heartbeat.acked_at == START + 140.1
    assert heartbeat.tick(START + 180.0) is BEAT
    assert heartbeat.tick(START + 220.0) is ZOMBIE


def test_a_peer_that_was_gone_when_it_could_be_read_again_is_found_out_an_interval_later() -> None:
    heartbeat = beating()
    for moment in (20.0, 60.0, 100.0):
        assert heartbeat.blind(START + moment)
    heartbeat.sighted(START + 130.0)
    assert heartbeat.tick(START + 140.0) is BEAT
    assert heartbeat.tick(START + 180.0) is ZOMBIE


def test_a_doubted_connection_is_not_judged_by_what_could_not_be_read() -> None:
    heartbeat = beating(jitter=0.99)
    assert heartbeat.doubt(START + 1.0)
    heartbeat.sighted(START + 30.0)
    assert heartbeat.due == pytest.approx(START + 39.6)
    assert heartbeat.tick(START + 39.6) is BEAT
    heartbeat.heard(START + 39.7)
    assert heartbeat.tick(START + 40.0) is ALIVE
