from __future__ import annotations

import pytest

from gwworker.redial import Known, Redial

START = 10_000.0
HOST = "wss://gateway-us-east1-c.discord.gg"
KNOWN = Known("5" * 32, HOST)


def redial(jitter: float = 1.0) -> Redial:
    return Redial(jitter=lambda: jitter)


@pytest.mark.parametrize("jitter", [0.0, 0.25, 1.0])
def test_the_first_wait_is_at_most_a_second(jitter: float) -> None:
    assert redial(jitter).wait_s() == jitter


def test_further_waits_double_up_to_a_minute() -> None:
    one = redial()
    assert [one.wait_s() for _ in range(9)] == [1, 1, 2, 4, 8, 16, 32, 60, 60]


def test_half_of_each_further_wait_is_left_to_the_dice() -> None:
    one = redial(0.0)
    assert [one.wait_s() for _ in range(4)] == [0, 0.5, 1, 2]


@pytest.mark.parametrize(("live_s", "next_wait_s"), [(59.9, 4.0), (60.0, 1.0)])
def test_a_minute_of_being_live_makes_waits_short_again(live_s: float, next_wait_s: float) -> None:
    one = redial()
    for _ in range(3):
        one.wait_s()
    one.live(START)
    one.ended(START + live_s)
    assert one.wait_s() == next_wait_s


def test_a_minute_counts_once() -> None:
    one = redial()
    one.live(START)
    one.ended(START + 60.0)
    assert [one.wait_s(), one.wait_s()] == [1, 1]
    one.ended(START + 300.0)
    assert one.wait_s() == 2, "that connection was never live"


def test_at_once_is_at_once_but_only_after_a_good_connection() -> None:
    one = redial()
    one.at_once(START)
    assert one.wait_s() == 0.0
    one.at_once(START)
    assert one.wait_s() == 1.0


def test_a_wait_is_never_shorter_than_what_was_asked_for_and_that_counts_once() -> None:
    one = redial(0.1)
    one.at_least(5.0)
    one.at_least(3.0)
    assert one.wait_s() == 5.0
    assert one.wait_s() < 1.0


@pytest.mark.parametrize(("asked_s", "wait_s"), [(0.0, 0.75), (0.5, 1.25), (120.0, 120.75)])
def test_who_is_asked_to_wait_comes_up_to_a_second_later_as_others_were_asked_too(
    asked_s: float, wait_s: float
) -> None:
    one = redial(0.75)
    one.asked_to_wait(asked_s)
    assert one.wait_s() == wait_s


def test_a_longer_backoff_outlasts_what_was_asked_for() -> None:
    one = redial()
    for _ in range(8):
        one.wait_s()
    one.at_least(5.0)
    assert one.wait_s() == 60.0


def test_without_a_session_the_address_is_the_one_to_identify_at() -> None:
    assert redial().url(None, START) is None
    assert redial().url(Known("5" * 32, None), START) is None


def test_a_resume_host_that_fails_is_left_alone_for_ten_minutes() -> None:
    # "If ... the reconnect fails, you should open a new connection using the URL from the initial call"
    # https://docs.discord.com/developers/events/gateway#handling-a-disconnect
    one = redial()
    assert one.url(KNOWN, START) == HOST
    one.host_failed(START)
    assert one.url(KNOWN, START + 599.9) is None
    assert one.url(KNOWN, START + 600.0) == HOST


def test_when_the_other_address_fails_as_well_they_take_turns() -> None:
    one = redial()
    dialed = []
    for _ in range(4):
        dialed.append(one.url(KNOWN, START))
        one.host_failed(START)
    assert dialed == [HOST, None, HOST, None]


def test_what_failed_is_told_once_it_is_known_that_another_address_works() -> None:
    one = redial()
    one.url(KNOWN, START)
    one.host_failed(START)
    one.url(KNOWN, START)
    assert one.greeted() == HOST
    assert one.greeted() is None, "once is enough"


def test_an_outage_of_ours_is_not_told_as_a_fault_of_the_hosts() -> None:
    one = redial()
    for _ in range(4):  # resume host, REST host, resume host, REST host: all unreachable
        one.url(KNOWN, START)
        one.host_failed(START)
    assert one.url(KNOWN, START) == HOST
    assert one.greeted() is None


def test_an_address_that_answers_after_all_of_them_failed_says_nothing_against_the_other() -> None:
    one = redial()
    for _ in range(3):  # resume host, REST host, resume host; then the network is back
        one.url(KNOWN, START)
        one.host_failed(START)
    assert one.url(KNOWN, START) is None
    assert one.greeted() is None
    assert one.url(KNOWN, START) == HOST
    one.host_failed(START)
    one.url(KNOWN, START)
    assert one.greeted() == HOST, "now it is the host's own fault"


def test_being_sent_away_before_hello_once_may_happen_and_twice_is_a_failure() -> None:
    one = redial()
    one.url(KNOWN, START)
    one.host_spoiled_greeting(START)
    assert one.url(KNOWN, START) == HOST
    one.host_spoiled_greeting(START)
    assert one.url(KNOWN, START) is None


def test_a_hello_makes_up_for_having_been_sent_away() -> None:
    one = redial()
    one.url(KNOWN, START)
    one.host_spoiled_greeting(START)
    one.url(KNOWN, START)
    one.greeted()
    one.host_spoiled_greeting(START)
    assert one.url(KNOWN, START) == HOST


def test_a_session_that_became_live_on_its_host_makes_that_good() -> None:
    one = redial()
    one.url(KNOWN, START)
    one.told({HOST: START + 600.0}, 0.0)
    one.live(START)
    assert one.url(KNOWN, START + 1.0) == HOST


def test_a_session_that_became_live_elsewhere_says_nothing_for_its_host() -> None:
    one = redial()
    one.url(KNOWN, START)
    one.host_failed(START)
    assert one.url(KNOWN, START) is None
    one.live(START)
    assert one.url(KNOWN, START + 1.0) is None


def test_a_host_that_others_found_dead_is_left_alone_until_the_moment_they_say() -> None:
    one = redial()
    one.told({HOST: START + 100.0}, 0.0)
    assert one.url(KNOWN, START + 99.0) is None
    assert one.url(KNOWN, START + 100.0) == HOST


@pytest.mark.parametrize(("now", "wait_s"), [(START + 4.9, 1.5), (START + 5.0, 0.0)])
def test_in_a_storm_a_dial_that_could_be_at_once_is_spread_over_two_seconds(
    now: float, wait_s: float
) -> None:
    one = redial(0.75)
    one.told({}, START + 5.0)
    one.at_once(now)
    assert one.wait_s() == wait_s


@pytest.mark.parametrize(("asked", "wait_s"), [(True, 1.5), (False, 0.75)])
def test_a_storm_that_is_heard_of_before_the_dial_spreads_it_too(asked: bool, wait_s: float) -> None:
    one = redial(0.75)
    if asked:
        one.at_once(START)
    one.told({}, START + 5.0)
    assert one.wait_s() == wait_s


def test_attempts_are_counted_from_one_and_anew_after_a_good_connection() -> None:
    one = redial()
    numbers = []
    for _ in range(3):
        one.url(KNOWN, START)
        numbers.append(one.attempt)
        one.wait_s()
    one.live(START)
    assert one.ended(START + 60.0)
    one.wait_s()
    one.url(KNOWN, START)
    assert [*numbers, one.attempt] == [1, 2, 3, 1]
