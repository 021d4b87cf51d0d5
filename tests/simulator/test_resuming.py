import pytest

from gwsimulator.faults import Refused
from support.sim_rig import Rig


def lost_with_events(rig: Rig, events: int) -> str:
    """Lose a live session at its last seq, then let `events` more happen."""
    link, session = rig.go_live()
    rig.lose(link)
    for _ in range(events):
        event = rig.world.happening(0)
        assert event is not None
        rig.perform(rig.gateway.delivery.tell(0, event, rig.now))
    return session


def test_resume_replays_what_was_missed_in_order_and_ends_with_resumed() -> None:
    rig = Rig()
    session = lost_with_events(rig, 5)  # READY and two guilds came before: 4 to 8 were missed
    link = rig.dial("resume")
    rig.take(link)
    got = rig.resume(link, session, 3)
    assert [one["s"] for one in got] == [4, 5, 6, 7, 8, 9]
    assert got[-1]["t"] == "RESUMED"
    assert (rig.ledger.resumes[0].outcome, rig.ledger.resumes[0].replayed) == ("resumed", 5)
    assert rig.rules_broken() == []


def test_what_is_replayed_are_the_bytes_of_the_first_time() -> None:
    rig = Rig()
    session = lost_with_events(rig, 3)
    link = rig.dial("resume")
    rig.raw.clear()
    rig.resume(link, session, 3)
    sent = [effect.payload for effect in rig.raw if hasattr(effect, "payload")]
    assert sent == [record.payload for record in rig.ledger.dispatches(session=session)][3:]


def test_resume_costs_neither_a_window_nor_an_identify() -> None:
    rig = Rig(daily_limit=1)
    link, session = rig.go_live()
    for _ in range(5):
        rig.lose(link)
        link = rig.dial("resume")
        rig.resume(link, session, 3)
    assert rig.ended == {}
    assert rig.rules_broken() == []


def test_a_client_that_closes_with_1000_or_1001_has_ended_its_session() -> None:
    for code, outcome in [
        (1000, "op9"),
        (1001, "op9"),
        (1006, "resumed"),
        (4000, "resumed"),
        (3000, "resumed"),
    ]:
        rig = Rig()
        link, session = rig.go_live()
        rig.lose(link, code)
        rig.resume(rig.dial("resume"), session, 3)
        assert [one.outcome for one in rig.ledger.resumes] == [outcome], code


def test_a_session_nobody_came_back_for_is_gone_after_its_ttl() -> None:
    for waited_s, outcome in [(179.0, "resumed"), (181.0, "op9")]:
        rig = Rig(session_ttl_s=180.0)
        session = lost_with_events(rig, 0)
        rig.run_for(waited_s)
        rig.resume(rig.dial("resume"), session, 3)
        assert [one.outcome for one in rig.ledger.resumes] == [outcome]


def test_a_session_that_was_resumed_outlives_the_ttl_it_had_been_given() -> None:
    rig = Rig(session_ttl_s=180.0, heartbeat_interval_ms=3_600_000)
    session = lost_with_events(rig, 0)
    rig.resume(rig.dial("resume"), session, 3)
    rig.run_for(181.0)
    rig.resume(rig.dial("resume"), session, 3)
    assert [one.outcome for one in rig.ledger.resumes] == ["resumed", "resumed"]


def test_resume_from_a_seq_that_was_never_sent_is_4007() -> None:
    rig = Rig()
    session = lost_with_events(rig, 0)
    link = rig.dial("resume")
    rig.resume(link, session, 4)
    assert rig.ended == {link: 4007}


def test_resume_from_before_the_replay_buffer_is_refused() -> None:
    rig = Rig(buffer_events=10)
    session = lost_with_events(rig, 11)
    link = rig.dial("resume")
    rig.take(link)
    assert rig.resume(link, session, 3) == [{"t": None, "s": None, "op": 9, "d": False}]


def test_resume_of_an_unknown_session_is_refused() -> None:
    rig = Rig()
    link = rig.dial("resume")
    rig.take(link)
    assert rig.resume(link, "f" * 32, 1)[0]["op"] == 9
    assert rig.ended == {}


def test_resume_under_another_token_is_refused() -> None:
    rig = Rig()
    session = lost_with_events(rig, 0)
    link = rig.dial("resume")
    rig.take(link)
    assert rig.resume(link, session, 3, token="other")[0]["op"] == 9


def test_resume_takes_a_session_over_from_a_connection_that_still_has_it() -> None:
    rig = Rig()
    old, session = rig.go_live()
    new = rig.dial("resume")
    rig.take(new)
    assert rig.resume(new, session, 3)[-1]["t"] == "RESUMED"
    assert rig.ended == {old: 4000}
    rig.perform(rig.gateway.delivery.tell(0, rig.world.guild_create(rig.world.guild_ids[0]), rig.now))
    assert [one["s"] for one in rig.take(new)] == [5]


def test_resume_on_the_rest_host_works_for_a_while_and_is_noted() -> None:
    rig = Rig(wrong_host_close_after_s=30.0)
    session = lost_with_events(rig, 0)
    link = rig.dial("gateway")
    rig.take(link)
    assert rig.resume(link, session, 3)[-1]["t"] == "RESUMED"
    assert rig.rules_broken() == ["wrong_resume_host"]
    rig.run_for(30.0)
    assert rig.take(link)[-1]["op"] == 7


def test_resume_with_another_compression_is_noted() -> None:
    rig = Rig()
    session = lost_with_events(rig, 0)
    rig.resume(rig.dial("resume", v="10", encoding="json", compress="zlib-stream"), session, 3)
    assert rig.rules_broken() == ["resume_compression"]


def test_resumes_can_be_made_to_fail_and_the_session_outlives_it() -> None:
    rig = Rig()
    session = lost_with_events(rig, 0)
    rig.faults.resumes.add(Refused("abort"), Refused(4000))
    first, second, third = rig.dial("resume"), rig.dial("resume"), rig.dial("resume")
    for link in (first, second, third):
        rig.resume(link, session, 3)
    assert rig.ended == {first: None, second: 4000}
    assert [one.outcome for one in rig.ledger.resumes] == ["abort", "4000", "resumed"]


@pytest.mark.parametrize(("code", "ended", "outcome"), [(None, [], "op9"), (4006, [4006], "4006")])
def test_a_session_of_another_token_gets_op_9_or_a_close_code(
    code: int | None, ended: list[int], outcome: str
) -> None:
    rig = Rig(foreign_session_code=code)
    session = lost_with_events(rig, 0)
    link = rig.dial("resume")
    rig.take(link)
    assert [one["op"] for one in rig.resume(link, session, 3, token="other")] == ([] if code else [9])
    assert list(rig.ended.values()) == ended
    assert [(one.outcome, one.same_token) for one in rig.ledger.resumes] == [(outcome, False)]
    rig.resume(rig.dial("resume"), session, 3)
    assert rig.ledger.resumes[-1].outcome == "resumed"


def test_an_invalid_token_is_4004_whosever_the_session_is() -> None:
    rig = Rig(token="abc", foreign_session_code=4006)
    session = lost_with_events(rig, 0)
    link = rig.dial("resume")
    rig.resume(link, session, 3, token="other")
    assert rig.ended == {link: 4004}


@pytest.mark.parametrize("code", [4000, 4009, 1000, None])
def test_the_connection_a_session_is_taken_from_is_closed_with_the_code_of_the_settings(
    code: int | None,
) -> None:
    rig = Rig(takeover_code=code)
    old, session = rig.go_live()
    rig.resume(rig.dial("resume"), session, 3)
    assert rig.ended == {old: code}
    assert rig.ledger.resumes[0].took_over == old
    rig.happen()
    assert rig.take(old) == []


def test_a_session_taken_over_outlives_even_a_code_that_ends_sessions() -> None:
    rig = Rig(takeover_code=4009)
    _, session = rig.go_live()
    new = rig.dial("resume")
    rig.resume(new, session, 3)
    rig.lose(new)
    rig.resume(rig.dial("resume"), session, 4)
    assert [one.outcome for one in rig.ledger.resumes] == ["resumed", "resumed"]


@pytest.mark.parametrize(("trims", "outcome"), [(False, "resumed"), (True, "op9")])
def test_a_heartbeat_frees_the_buffer_up_to_its_number_or_does_not(trims: bool, outcome: str) -> None:
    rig = Rig(heartbeat_trims=trims)
    link, session = rig.go_live()
    rig.happen()
    rig.send(link, 1, 4)
    rig.lose(link)
    rig.resume(rig.dial("resume"), session, 3)
    assert [one.outcome for one in rig.ledger.resumes] == [outcome]


@pytest.mark.parametrize("trims", [False, True])
def test_resuming_from_what_the_last_heartbeat_said_loses_nothing_either_way(trims: bool) -> None:
    rig = Rig(heartbeat_trims=trims)
    link, session = rig.go_live()
    rig.happen()
    rig.send(link, 1, 4)
    rig.happen()
    rig.lose(link)
    link = rig.dial("resume")
    rig.take(link)
    assert [one["s"] for one in rig.resume(link, session, 4)] == [5, 6]


@pytest.mark.parametrize(("has_seq", "seqs"), [(True, [4, 5, 6]), (False, [4, None, 5])])
def test_resumed_takes_a_number_or_none(has_seq: bool, seqs: list[int | None]) -> None:
    rig = Rig(resumed_has_seq=has_seq)
    session = lost_with_events(rig, 1)
    link = rig.dial("resume")
    rig.take(link)
    got = rig.resume(link, session, 3)
    rig.happen()
    got += rig.take(link)
    assert [one["s"] for one in got] == seqs
    assert got[1]["t"] == "RESUMED"


@pytest.mark.parametrize(("drops", "ops", "ended"), [(False, [7], []), (True, [], [None])])
def test_on_the_host_of_rest_a_session_is_asked_away_or_dropped(
    drops: bool, ops: list[int], ended: list[None]
) -> None:
    rig = Rig(wrong_host_close_after_s=30.0, wrong_host_drops=drops)
    session = lost_with_events(rig, 0)
    link = rig.dial("gateway")
    rig.resume(link, session, 3)
    rig.take(link)
    rig.run_for(30.0)
    assert [one["op"] for one in rig.take(link)] == ops
    assert list(rig.ended.values()) == ended


def test_on_the_host_of_rest_a_session_may_also_stay() -> None:
    rig = Rig(wrong_host_close_after_s=None, heartbeat_interval_ms=3_600_000)
    session = lost_with_events(rig, 0)
    link = rig.dial("gateway")
    rig.resume(link, session, 3)
    rig.take(link)
    rig.run_for(3_600.0)
    assert rig.take(link) == []
    assert rig.rules_broken() == ["wrong_resume_host"]


@pytest.mark.parametrize("delay_s", [0.0, 5.0])
def test_a_refused_resume_gets_its_op_9_at_once_or_late(delay_s: float) -> None:
    rig = Rig(invalid_session_delay_s=delay_s)
    link = rig.dial("resume")
    rig.take(link)
    got = rig.resume(link, "f" * 32, 1)
    rig.run_for(delay_s - 0.1 if delay_s else 0.0)
    assert len(got) == (0 if delay_s else 1)
    rig.run_for(0.1)
    assert [one["op"] for one in got + rig.take(link)] == [9]


@pytest.mark.parametrize("ttl_s", [30.0, 900.0])
def test_a_session_lives_as_long_as_the_settings_say(ttl_s: float) -> None:
    for waited_s, outcome in [(ttl_s - 1, "resumed"), (ttl_s + 1, "op9")]:
        rig = Rig(session_ttl_s=ttl_s)
        session = lost_with_events(rig, 0)
        rig.run_for(waited_s)
        rig.resume(rig.dial("resume"), session, 3)
        assert [one.outcome for one in rig.ledger.resumes] == [outcome]


def test_a_resume_opens_no_window_and_spends_nothing_of_the_day() -> None:
    rig = Rig(daily_limit=10)
    link, session = rig.go_live()
    rig.run_for(10.0)
    rig.lose(link)
    rig.resume(rig.dial("resume"), session, 3)
    assert rig.gateway.handshake.daily.remaining(rig.now) == 9
    rig.go_live(1)
    assert rig.rules_broken() == []
