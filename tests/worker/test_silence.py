from __future__ import annotations

import pytest

from gwworker.silence import Silence

START = 10_000.0


def used_to(pause_s: float, events: int = 200) -> tuple[Silence, int, float]:
    """Return one that has heard `events` events so far apart, its last seq, and the moment of that."""
    silence = Silence()
    silence.begin(1, START, resumed=False)
    for seq in range(2, events + 2):
        assert silence.look(seq, START + pause_s * (seq - 1)) is None
    return silence, events + 1, START + pause_s * events


@pytest.mark.parametrize(("pause_s", "patience_s"), [(0.05, 600.0), (1.0, 600.0), (60.0, 3000.0)])
def test_a_shard_is_too_silent_after_fifty_of_its_pauses_but_not_before_ten_minutes(
    pause_s: float, patience_s: float
) -> None:
    silence, seq, now = used_to(pause_s)
    assert silence.look(seq, now + patience_s - 1.0) is None
    assert silence.look(seq, now + patience_s + 1.0) == pytest.approx(patience_s + 1.0)


def test_a_shard_that_never_had_an_event_may_be_silent_for_ever() -> None:
    silence = Silence()
    silence.begin(1, START, resumed=False)
    assert silence.look(1, START + 1e6) is None


def test_before_a_session_there_is_nothing_to_listen_for() -> None:
    assert Silence().look(None, START) is None


def test_a_resume_that_brings_nothing_shows_that_it_was_only_quiet_and_doubles_the_patience() -> None:
    silence, seq, now = used_to(1.0)
    silence.begin(seq + 1, now + 601.0, resumed=True)
    assert silence.look(seq + 1, now + 601.0 + 1199.0) is None
    assert silence.look(seq + 1, now + 601.0 + 1201.0) is not None


def test_a_resume_that_brings_events_leaves_the_patience_as_it_was() -> None:
    silence, seq, now = used_to(1.0)
    silence.begin(seq + 30, now + 601.0, resumed=True)
    assert silence.look(seq + 30, now + 601.0 + 601.0) is not None


def test_events_after_a_lull_make_it_impatient_again() -> None:
    silence, seq, now = used_to(1.0)
    silence.begin(seq + 1, now + 601.0, resumed=True)
    assert silence.look(seq + 2, now + 602.0) is None
    assert silence.look(seq + 2, now + 602.0 + 601.0) is not None
