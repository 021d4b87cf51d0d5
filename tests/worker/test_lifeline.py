from __future__ import annotations

import pytest

from gwworker.closing import rule_for
from gwworker.lifeline import Lifeline

START = 10_000.0


def ends(lifeline: Lifeline, now: float, code: int | None = None, *, sent_away: bool = False) -> str | None:
    return lifeline.ended(now, code=code, rule=rule_for(code), sent_away=sent_away)


def test_three_resumes_without_one_event_are_enough() -> None:
    lifeline = Lifeline()
    said: list[str | None] = []
    for number in range(3):
        lifeline.resuming(START + number)
        said.append(ends(lifeline, START + number))
    assert said == [None, None, "3 RESUMEs without one event"]


def test_one_event_makes_earlier_resumes_good() -> None:
    lifeline = Lifeline()
    for number in range(10):
        lifeline.resuming(START + number)
        if number % 2:
            lifeline.progressed()
        assert ends(lifeline, START + number) is None


def test_connections_that_ended_before_a_resume_was_sent_do_not_count() -> None:
    lifeline = Lifeline()
    for _ in range(50):
        assert ends(lifeline, START) is None


def test_resumes_that_were_never_written_do_not_count() -> None:
    lifeline = Lifeline()
    for _ in range(50):
        lifeline.resuming(START)
        lifeline.unsent()
        assert ends(lifeline, START) is None


def test_being_sent_away_does_not_count_but_not_for_more_than_ten_minutes() -> None:
    lifeline = Lifeline()
    for second in range(0, 600, 10):
        lifeline.resuming(START + second)
        assert ends(lifeline, START + second, 4000, sent_away=True) is None
    lifeline.resuming(START + 600.0)
    said = ends(lifeline, START + 600.0, 4000, sent_away=True)
    assert said == "no event since the first RESUME, 600 s ago"


@pytest.mark.parametrize(("code", "tries"), [(4005, 1), (4999, 3), (3999, 3)])
def test_some_codes_may_come_only_so_often_in_a_row(code: int, tries: int) -> None:
    lifeline = Lifeline()
    for _ in range(tries):
        assert ends(lifeline, START, code) is None
    assert ends(lifeline, START, code) == f"closed with {code} {tries + 1} times in a row"


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 4000, 4002, 4008])
def test_codes_that_say_nothing_against_the_session_may_come_without_end(code: int | None) -> None:
    lifeline = Lifeline()
    for _ in range(100):
        assert ends(lifeline, START, code) is None


def test_another_code_between_begins_the_count_anew() -> None:
    lifeline = Lifeline()
    for code in (4005, 4999, 4005, 4999):
        assert ends(lifeline, START, code) is None


def test_a_good_connection_begins_the_count_anew() -> None:
    lifeline = Lifeline()
    for _ in range(5):
        assert ends(lifeline, START, 4005) is None
        lifeline.held()
