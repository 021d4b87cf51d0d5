from __future__ import annotations

import pytest

from gwcluster.wire.notices import ShardState
from gwworker.effects import Forget, Remember, Report, Say, TellLost
from gwworker.phases import Phase
from gwworker.redial import Known
from gwworker.scan import Ready
from gwworker.standing import Standing

START = 10_000.0
HOST = "wss://gateway-us-east1-c.discord.gg"
FIRST = Ready(1, "5" * 32, HOST)
TO_RESUMING = (Phase.DIALING, Phase.GREETING, Phase.RESUMING)
TO_LIVE = (*TO_RESUMING, Phase.LIVE)


def standing(*path: Phase, number: int = 7, seq: int | None = 100) -> Standing:
    """Return one with a saved session, that went through these phases."""
    one = Standing(number=number, known=Known("5" * 32, HOST), seq=seq, now=START)
    for phase in path:
        one.enter(phase, START)
    return one


def test_the_first_dial_is_due_at_once() -> None:
    assert (standing().phase, standing().deadline) == (Phase.OFFLINE, START)


@pytest.mark.parametrize(
    ("path", "patience_s"),
    [
        (TO_RESUMING[:1], 15.0),
        (TO_RESUMING[:2], 20.0),
        (TO_RESUMING, 60.0),
        ((*TO_RESUMING[:2], Phase.QUEUED, Phase.IDENTIFYING), 90.0),
        ((*TO_LIVE, Phase.CLOSING), 2.0),
    ],
)
def test_a_phase_that_waits_for_discord_has_its_patience(path: tuple[Phase, ...], patience_s: float) -> None:
    assert standing(*path).deadline == START + patience_s


@pytest.mark.parametrize("path", [TO_LIVE, (*TO_RESUMING[:2], Phase.QUEUED), (Phase.STOPPED,)])
def test_the_others_may_last_for_ever(path: tuple[Phase, ...]) -> None:
    assert standing(*path).deadline is None


def test_whoever_goes_offline_says_for_how_long() -> None:
    one = standing(Phase.DIALING)
    one.enter(Phase.OFFLINE, START + 3.0, wait_s=0.0)
    assert (one.since, one.deadline) == (START + 3.0, START + 3.0)


def test_an_illegal_move_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="from OFFLINE to LIVE"):
        standing().enter(Phase.LIVE, START)


def test_a_dispatch_is_accepted_once_and_a_hole_before_it_is_counted() -> None:
    one = standing(*TO_LIVE)
    assert [seq for seq in (101, 101, 100, 102, 105, 104) if one.accept(seq, START)] == [101, 102, 105]
    assert (one.duplicates, one.gaps, one.seq) == (3, 1, 105)


@pytest.mark.parametrize("path", [(), TO_RESUMING[:2], (*TO_LIVE, Phase.CLOSING)])
def test_outside_of_a_session_nothing_is_accepted(path: tuple[Phase, ...]) -> None:
    one = standing(*path)
    assert not one.accept(101, START)
    assert one.seq == 100


def test_each_event_while_resuming_renews_the_patience() -> None:
    one = standing(*TO_RESUMING)
    assert one.accept(101, START + 50.0)
    assert one.deadline == START + 110.0


def test_the_first_session_follows_none_that_was_lost() -> None:
    one = Standing(number=0, known=None, seq=None, now=START)
    assert one.begin(FIRST) == [Remember(1, "5" * 32, HOST)]
    assert (one.number, one.known, one.seq) == (1, Known("5" * 32, HOST), 1)


def test_the_next_session_tells_why_the_one_before_was_lost() -> None:
    one = standing()
    assert [type(effect) for effect in one.lose("op 9")] == [Forget, Say]
    assert (one.seq, one.received_seq) == (None, 100)
    assert one.begin(FIRST) == [Remember(8, "5" * 32, HOST), TellLost(7, "op 9")]


def test_a_session_is_lost_once_and_for_the_first_reason() -> None:
    one = standing()
    one.lose("op 9")
    assert one.lose("close code 4006") == []
    assert TellLost(7, "op 9") in one.begin(FIRST)


def test_a_lost_session_takes_its_vain_resumes_with_it() -> None:
    one = standing(*TO_RESUMING)
    for _ in range(2):
        one.lifeline.resuming(START)
        one.lifeline.ended(START, code=None, rule=None, sent_away=False)
    one.lose("op 9")
    one.begin(FIRST)
    one.lifeline.resuming(START)
    assert one.lifeline.ended(START, code=None, rule=None, sent_away=False) is None


def test_others_are_told_of_the_phase_in_their_own_words() -> None:
    assert standing(Phase.DIALING).report("to resume") == Report(ShardState.CONNECTING, "to resume")
