"""A session's numbers go on over every RESUMED, and an IDENTIFY too soon is refused."""

from __future__ import annotations

from bench.session import Session, Windows


def test_a_resume_replays_what_has_a_greater_number() -> None:
    session = Session("a", (0, 1), sent=4)  # READY is 1, the events are 2 to 5
    assert list(session.missed(3)) == [(2, 4), (3, 5)]
    assert list(session.missed(5)) == []
    assert list(session.missed(0)) == [(0, 2), (1, 3), (2, 4), (3, 5)]


def test_resumed_takes_a_number_that_is_not_replayed() -> None:
    session = Session("a", (0, 1), sent=2)
    assert session.is_as_encoded
    assert session.resumed() == 4
    assert not session.is_as_encoded
    session.sent += 2
    assert session.last_seq == 6
    assert list(session.missed(2)) == [(1, 3), (2, 5), (3, 6)]
    assert session.resumed() == 7


def test_one_of_each_key_may_identify_in_five_seconds() -> None:
    windows = Windows(max_concurrency=2)
    assert windows.allow(0, 10_000.0)
    assert windows.allow(1, 10_000.0)
    assert not windows.allow(2, 10_004.0)
    assert windows.allow(3, 10_005.0)
    assert not windows.allow(2, 10_008.0)  # the refused one counts
    assert windows.allow(2, 10_013.0)
