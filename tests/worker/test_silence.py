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


@pytest.mark.parametrize(
    ("pause_s", "patience_s"), [(0.05, 600.0), (1.0, 600.0), (60.0, 3000.0), (100.0, 3600.0)]
)
def test_a_shard_is_too_silent_after_fifty_of_its_pauses_but_not_before_ten_minutes(
    pause_s: float, patience_s: float
) -> None:
    silence, seq, now = used_to(pause_s)
    assert silence.look(seq, now + patience_s - 1.0) is None
    assert silence.look(seq, now + patience_s + 1.0) == pytest.approx(patience_s + 1.0)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_shard_that_never_had_an_event_is_too_silent_after_10_20_and_40_minutes_and_then_each_hour(
    resumed: bool,
) -> None:
    # Nobody knows how often it should hear something: a worker that has just succeeded another one, say.
    silence = Silence()
    seq, now = 100, START
    silence.begin(seq, now, resumed=resumed)
    waits: list[float] = []
    for _ in range(5):
        began = now
        while silence.look(seq, now) is None:
            now += 10.0  # a heartbeat
        waits.append((now - began) / 60.0)
        seq += 1  # RESUMED
        silence.begin(seq, now, resumed=True)
    assert waits == pytest.approx([10.0, 20.0, 40.0, 60.0, 60.0], abs=2.0)


def test_before_a_session_there_is_nothing_to_listen_for() -> None:
    assert Silence().look(None, START) is None


def test_a_resume_that_brings_nothing_shows_that_it_was_only_quiet_and_next_time_it_waits_twice_as_long() -> (
    None
):
    silence, seq, now = used_to(1.0)
    silence.begin(seq + 1, now + 610.0, resumed=True)
    assert silence.look(seq + 2, now + 611.0) is None
    assert silence.look(seq + 2, now + 611.0 + 1219.0) is None
    assert silence.look(seq + 2, now + 611.0 + 1221.0) is not None


def test_a_resume_that_brings_events_leaves_the_patience_as_it_was() -> None:
    silence, seq, now = used_to(1.0)
    silence.begin(seq + 30, now + 610.0, resumed=True)
    assert silence.look(seq + 30, now + 610.0 + 601.0) is not None


@pytest.mark.parametrize("pause_s", [1.0, 1000.0])
def test_more_than_an_hour_is_too_long_whatever_was_usual(pause_s: float) -> None:
    silence, seq, now = used_to(pause_s)
    for _ in range(5):
        seq, now = seq + 1, now + 5000.0
        silence.begin(seq, now, resumed=True)
    assert silence.look(seq, now + 3599.0) is None
    assert silence.look(seq, now + 3601.0) is not None
