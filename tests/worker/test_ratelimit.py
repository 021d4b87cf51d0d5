from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gwworker.ratelimit import SendBudget

START = 10_000.0


def connected(interval_s: float = 41.25) -> SendBudget:
    budget = SendBudget()
    budget.start()
    budget.adopt(interval_s)
    return budget


def spend(budget: SendBudget, now: float) -> int:
    """Send commands until there is no room; return how many left."""
    sent = 0
    while budget.room_for_command(now):
        budget.note_command(now)
        sent += 1
    return sent


@pytest.mark.parametrize(("interval_s", "commands"), [(41.25, 114), (30.0, 113), (10.0, 109), (1.0, 54)])
def test_commands_get_what_beats_the_handshake_and_some_answers_leave(
    interval_s: float, commands: int
) -> None:
    budget = connected(interval_s)
    budget.note(START)
    assert spend(budget, START) == commands


def test_beats_that_were_sent_are_not_kept_room_for_once_more() -> None:
    budget = connected()
    budget.note(START)
    for beat_at in (START, START + 41.25):
        budget.note(beat_at)
    assert spend(budget, START + 42.0) == 114


def test_beats_alone_may_fill_the_limit() -> None:
    budget = connected(0.25)
    assert spend(budget, START) == 0
    assert budget.free_at(START) == math.inf
    assert not budget.may_answer(START)


def test_no_trick_with_the_edge_of_a_minute_passes_more() -> None:
    # "Apps can send 120 gateway events per connection every 60 seconds": in any 60, not in those of a clock.
    # https://docs.discord.com/developers/events/gateway#rate-limiting
    budget = connected()
    assert spend(budget, START + 59.0) == 114
    assert spend(budget, START + 61.0) == 0
    assert spend(budget, START + 119.9) == 0
    assert spend(budget, START + 120.1) == 114


def test_room_comes_back_a_little_later_than_a_minute_since_payloads_may_overtake_time() -> None:
    budget = connected()
    spend(budget, START)
    assert budget.free_at(START) == START + 61.0
    assert not budget.room_for_command(START + 60.5)
    assert budget.room_for_command(START + 61.0)


def test_room_comes_back_one_by_one_as_it_was_used() -> None:
    budget = connected()
    for index in range(114):
        budget.note_command(START + index * 0.5)
    now = START + 57.0
    assert budget.free_at(now) == START + 61.0
    assert spend(budget, START + 61.0) == 1
    assert budget.free_at(START + 61.0) == START + 61.5


def test_there_is_room_now_if_there_is_room() -> None:
    assert connected().free_at(START) == START


def test_op_1_is_answered_three_times_however_many_commands_were_sent() -> None:
    budget = connected()
    budget.note(START)
    spend(budget, START)
    answers = 0
    while budget.may_answer(START + 1.0):
        budget.note(START + 1.0)
        answers += 1
    assert answers == 3


def test_a_peer_that_wants_a_thousand_beats_gets_what_is_left() -> None:
    budget = connected()
    answers = 0
    while budget.may_answer(START):
        budget.note(START)
        answers += 1
    assert answers == 50
    assert spend(budget, START) == 68  # two more are left for beats


def test_beats_of_a_second_fit_in_although_every_request_was_answered_before() -> None:
    budget = connected()
    while budget.may_answer(START):
        budget.note(START)
    budget.adopt(1.0)
    sent = 50
    for second in range(60):
        budget.note(START + second)
        sent += 1
    assert sent <= 120
    assert not budget.may_answer(START + 59.0)


def test_a_new_connection_begins_with_nothing_sent() -> None:
    budget = connected()
    while budget.may_answer(START):
        budget.note(START)
    budget.start()
    budget.adopt(41.25)
    assert spend(budget, START + 1.0) == 114
    budget.start()
    budget.adopt(41.25)
    assert spend(budget, START + 2.0) == 114


def test_another_interval_keeps_room_for_other_beats() -> None:
    budget = connected()
    budget.adopt(10.0)
    assert spend(budget, START) == 109


def test_after_4008_half_the_limit_holds_for_ten_minutes_and_on_later_connections() -> None:
    # "repeat offenders will have their API access revoked"
    # https://docs.discord.com/developers/events/gateway#rate-limiting
    budget = connected()
    budget.tighten(START)
    budget.start()
    budget.adopt(41.25)
    assert spend(budget, START + 599.0) == 54
    assert budget.free_at(START + 599.0) == START + 600.0
    assert spend(budget, START + 600.0) == 60
    budget.start()
    budget.adopt(41.25)
    assert spend(budget, START + 700.0) == 114


WANTS = st.lists(
    st.tuples(st.sampled_from(["command", "op 1", "commands"]), st.floats(0.0, 45.0)), max_size=80
)


@given(WANTS, st.sampled_from([41.25, 30.0, 20.0, 5.0, 1.0]), st.floats(0.0, 1.0))
@example([("commands", 30.0), ("commands", 31.0), ("op 1", 0.0)] * 5, 30.0, 0.0)
@example([("op 1", 0.0)] * 20 + [("commands", 0.0)] * 3 + [("op 1", 40.0)], 20.0, 1.0)
def test_no_60_seconds_hold_more_than_120_payloads(
    wants: list[tuple[str, float]], interval_s: float, jitter: float
) -> None:
    budget = connected(interval_s)
    budget.note(START)
    sent = [START]
    now, beat_at = START, START + interval_s * jitter
    for want, later_s in wants:
        now += later_s
        while beat_at <= now:
            budget.note(beat_at)
            sent.append(beat_at)
            beat_at += interval_s
        if want == "op 1" and budget.may_answer(now):
            budget.note(now)
            sent.append(now)
        elif want == "command" and budget.room_for_command(now):
            budget.note_command(now)
            sent.append(now)
        elif want == "commands":
            sent += [now] * spend(budget, now)
    sent.sort()
    for first, after in zip(sent, sent[120:], strict=False):
        assert after - first > 60.0
