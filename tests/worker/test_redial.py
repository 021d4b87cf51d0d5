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
    one.at_once()
    assert one.wait_s() == 0.0
    one.at_once()
    assert one.wait_s() == 1.0


def test_a_wait_is_never_shorter_than_what_was_asked_for_and_that_counts_once() -> None:
    one = redial(0.1)
    one.at_least(5.0)
    one.at_least(3.0)
    assert one.wait_s() == 5.0
    assert one.wait_s() < 1.0


def test_a_longer_backoff_outlasts_what_was_asked_for() -> None:
    one = redial()
    for _ in range(8):
        one.wait_s()
    one.at_least(5.0)
    assert one.wait_s() == 60.0


def test_without_a_session_the_address_is_the_one_to_identify_at() -> None:
    assert redial().url(None) is None
    assert redial().url(Known("5" * 32, None)) is None


def test_a_resume_host_that_fails_is_avoided_once_and_then_tried_again() -> None:
    one = redial()
    assert one.url(KNOWN) == HOST
    one.host_failed()
    assert one.url(KNOWN) is None
    one.host_failed()
    assert one.url(KNOWN) == HOST


def test_a_session_that_became_live_makes_its_host_good() -> None:
    one = redial()
    one.host_failed()
    one.live(START)
    assert one.url(KNOWN) == HOST


def test_what_is_known_of_a_host_goes_with_its_session() -> None:
    one = redial()
    one.host_failed()
    one.forget_host()
    assert one.url(KNOWN) == HOST
