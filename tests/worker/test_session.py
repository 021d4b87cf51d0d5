"""One test for each rule of a session; quoted are Discord's own words.

Where no other address is given they are from https://docs.discord.com/developers/events/gateway.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gwcluster.wire.control import Conditions
from gwcluster.wire.notices import ShardState
from gwworker.effects import (
    Abort,
    AskPermit,
    Deliver,
    Dial,
    Effect,
    Forget,
    GiveUp,
    Hangup,
    Remember,
    Report,
    ReturnPermit,
    Say,
    SendBeat,
    SendIdentify,
    SendResume,
    TellHostFailed,
    TellIdentifyRefused,
    TellLost,
    TellSentAway,
    WithdrawPermit,
)
from gwworker.events import Doubted, Draining, Faulty, Lost, Opened, Permitted, Resumed, Slept, Tick, Unsent
from gwworker.phases import EDGES, STATES, Phase
from gwworker.scan import Ack, BareResumed, BeatRequest, Hello, InvalidSession, Reconnect, UnknownOp
from support.session_rig import (
    NEW_RESUME_URL,
    PERMIT,
    RESUME_URL,
    SAVED,
    START,
    Rig,
    closes,
    ready,
)

RESUME = SendResume("5" * 32)
KEPT = [None, 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013, 1014, 1015]
KEPT += [3000, 4000, 4002, 4005, 4008, 4015, 4999]


# From the first dial to READY


def test_a_shard_without_a_session_dials_asks_once_and_identifies_when_it_is_permitted() -> None:
    rig = Rig()
    assert rig.do(Tick()) == [Dial(None)]
    assert rig.do(Opened()) == []
    assert rig.do(Hello(41.25)) == [AskPermit()]
    assert rig.do(PERMIT) == [SendIdentify()]
    assert rig.do(ready()) == [Remember(1, "a" * 32, NEW_RESUME_URL), Deliver()]
    assert rig.phase is Phase.LIVE


def test_a_shard_with_a_session_resumes_without_a_permit() -> None:
    # "When Resuming, you do not need to send an Identify event after opening the connection."
    rig = Rig(SAVED)
    assert rig.do(Tick()) == [Dial(RESUME_URL)]
    assert rig.do(Opened(), Hello(41.25)) == [RESUME]
    assert rig.do(Resumed(101)) == [Deliver()]
    assert rig.phase is Phase.LIVE
    assert rig.all(AskPermit, Remember, TellLost) == []


def test_nothing_is_sent_before_hello() -> None:
    rig = Rig(SAVED).greeting()
    assert rig.do(PERMIT) == [ReturnPermit()]
    assert rig.all(SendResume, SendIdentify, SendBeat) == []


def test_an_upgrade_without_an_answer_is_given_up_after_15_s() -> None:
    rig = Rig().dialing()
    rig.run_for(14.9)
    assert rig.log[1:] == []
    rig.run_for(0.2)
    assert rig.log[1:] == [(START + 15.0, Abort())]
    assert rig.phase is Phase.OFFLINE


def test_a_gateway_that_says_nothing_is_left_after_20_s_with_a_code_that_keeps_sessions() -> None:
    # "If you cannot reconnect or the reconnect fails, you should open a new connection using the URL from the
    # initial call to Get Gateway or Get Gateway Bot."
    rig = Rig(SAVED).greeting()
    rig.run_for(20.0)
    assert rig.log[-1] == (START + 20.0, Hangup(4900))
    rig.lose()
    assert rig.redial() == Dial(None), "the resume host is silent, so the other one is tried"
    assert rig.do(Opened(), Hello(41.25)) == [TellHostFailed(RESUME_URL), RESUME], "the session is kept"


def test_ready_may_take_90_s_when_other_shards_get_theirs() -> None:
    rig = Rig().identifying()
    rig.do(Conditions({}, storm_until=0.0, ready_at=rig.now + 1.0))
    rig.run_for(89.9, acks=True)
    assert rig.phase is Phase.IDENTIFYING
    rig.run_for(0.2, acks=True)
    assert rig.log[-1] == (START + 90.0, Hangup(4900))
    assert rig.all(SendIdentify) == [SendIdentify()]


def test_a_host_that_leaves_a_resume_unanswered_is_left_for_the_other_one() -> None:
    rig = Rig(SAVED).resuming()
    rig.run_for(60.0, acks=True)
    rig.lose()
    assert rig.redial() == Dial(None)
    assert rig.do(Opened(), Hello(41.25)) == [TellHostFailed(RESUME_URL), RESUME]


def test_a_host_that_turns_zombie_while_resuming_is_left_for_the_other_one() -> None:
    rig = Rig(SAVED).resuming(heartbeat_s=20.0)
    rig.run_for(30.0)
    assert closes(rig.all(Hangup, Abort)) == ["abort"]
    assert rig.redial() == Dial(None)


def test_resuming_may_take_60_s_since_the_last_replayed_event() -> None:
    rig = Rig(SAVED).resuming()
    for seq in range(101, 111):
        rig.run_for(59.0, acks=True)
        assert rig.dispatch(seq) == [seq]
    assert rig.phase is Phase.RESUMING
    rig.run_for(60.0, acks=True)
    assert rig.log[-1] == (START + 10 * 59.0 + 60.0, Hangup(4900))


def test_ready_that_nobody_asked_for_ends_the_connection() -> None:
    rig = Rig(SAVED).live()
    assert rig.do(ready()) == [Hangup(4900)]


def test_the_worlds_view_of_each_phase() -> None:
    rig = Rig().live()
    rig.lose()
    rig.do(Draining("asked to stop"))
    assert [said.state for said in rig.said if isinstance(said, Report)] == [
        ShardState.CONNECTING,
        ShardState.QUEUED,
        ShardState.IDENTIFYING,
        ShardState.LIVE,
        ShardState.BACKOFF,
        ShardState.STOPPED,
    ]


# Heartbeats


@pytest.mark.parametrize(("jitter", "first"), [(0.0, 0.0), (0.25, 10.0), (0.999, 39.96)])
def test_the_first_beat_comes_after_a_random_part_of_the_interval_and_then_each_interval(
    jitter: float, first: float
) -> None:
    # "wait heartbeat_interval * jitter where jitter is any random value between 0 and 1"
    rig = Rig(jitter=jitter).live(heartbeat_s=40.0)
    rig.run_for(170.0, acks=True)
    assert rig.at(SendBeat) == pytest.approx([first + 40.0 * n for n in range(len(rig.at(SendBeat)))])
    assert len(rig.at(SendBeat)) >= 4


def test_identify_waits_neither_for_the_first_beat_nor_for_its_ack() -> None:
    # "After the connection is open and your app is sending heartbeats, you should send an Identify"
    rig = Rig(jitter=0.999).identifying(heartbeat_s=40.0)
    assert rig.all(SendIdentify, SendBeat) == [SendIdentify()]
    rig.run_for(40.0)
    assert rig.at(SendBeat) == [pytest.approx(39.96)]
    rig.do(ready())
    assert rig.phase is Phase.LIVE


def test_beats_go_on_while_a_permit_is_waited_for() -> None:
    # "your app should send heartbeats (as described below) in a background process until the Gateway
    # connection is closed"
    rig = Rig().queued(heartbeat_s=40.0)
    rig.run_for(600.0, acks=True)
    assert rig.phase is Phase.QUEUED
    assert len(rig.at(SendBeat)) == 15


def test_beats_go_on_during_a_replay() -> None:
    rig = Rig(SAVED).resuming(heartbeat_s=40.0)
    rig.run_for(600.0, acks=True, dispatch_every=10.0)
    assert rig.phase is Phase.RESUMING
    assert len(rig.at(SendBeat)) == 15


def test_silence_after_a_heartbeat_costs_the_connection_and_not_the_session() -> None:
    # "terminate the connection with any close code besides 1000 or 1001 ... attempt to Resume"
    rig = Rig(SAVED).live(heartbeat_s=40.0).forget_log()
    rig.run_for(62.0)  # the beat at 20 s is still without an ACK when the next is due
    assert [(moment - START, effect) for moment, effect in rig.log] == [
        (20.0, SendBeat()),
        (60.0, Abort()),
        (60.5, Dial(RESUME_URL)),
    ]
    assert rig.do(Opened(), Hello(40.0)) == [RESUME]


def test_without_acks_a_connection_that_still_delivers_is_left_after_two_intervals() -> None:
    rig = Rig(SAVED).live(heartbeat_s=40.0).forget_log()
    rig.run_for(99.9, dispatch_every=1.0)
    assert rig.at(SendBeat) == [20.0, 60.0]
    assert rig.phase is Phase.LIVE
    rig.run_for(0.2, dispatch_every=1.0)
    assert rig.log[-1] == (START + 100.0, Abort())


def test_an_op_1_is_answered_at_once_and_leaves_the_timer_alone() -> None:
    # "your app should immediately send back another Heartbeat event without waiting the remainder of the
    # current interval"; the remainder goes on, as it did before
    rig = Rig().live(heartbeat_s=40.0).forget_log()
    rig.now += 5.0
    assert rig.do(BeatRequest()) == [SendBeat()]
    rig.ack()
    rig.run_for(60.0, acks=True)
    assert rig.at(SendBeat) == [5.0, 20.0, 60.0]


def test_an_op_1_just_before_a_beat_is_not_taken_for_a_missed_ack() -> None:
    rig = Rig().live(heartbeat_s=40.0)
    rig.now = START + 19.9
    rig.session.heartbeat.heard(rig.now)
    rig.do(BeatRequest())
    rig.run_for(0.2)
    assert rig.phase is Phase.LIVE
    assert rig.at(SendBeat) == pytest.approx([19.9, 20.0])


def test_a_burst_of_five_op_1_gets_five_beats_before_ready_too() -> None:
    rig = Rig().identifying()
    assert rig.do(*[BeatRequest()] * 5) == [SendBeat()] * 5


def test_an_op_1_before_hello_is_answered() -> None:
    assert Rig().greeting().do(BeatRequest()) == [SendBeat()]


def test_a_second_hello_changes_the_interval_and_nothing_else() -> None:
    # 4005: "You sent more than one identify payload. Don't do that!"
    rig = Rig().identifying(heartbeat_s=40.0).forget_log()
    assert rig.do(Hello(10.0)) == []
    rig.run_for(45.0, acks=True)
    assert rig.at(SendBeat) == [10.0, 20.0, 30.0, 40.0], "one timer, not two"
    assert rig.phase is Phase.IDENTIFYING


def test_fifty_acks_that_nobody_asked_for_change_nothing() -> None:
    rig = Rig().live(heartbeat_s=40.0).forget_log()
    assert rig.do(*[Ack()] * 50) == []
    rig.run_for(59.9)
    assert rig.at(SendBeat) == [20.0]
    rig.run_for(0.2)
    assert rig.log[-1][1] == Abort()


@pytest.mark.parametrize("end", [Lost(None), Reconnect(), Faulty("not JSON"), Draining("asked to stop")])
def test_no_beat_of_an_ended_connection_is_left_over(end: Any) -> None:
    rig = Rig().live(heartbeat_s=40.0)
    rig.do(end)
    assert rig.session.heartbeat.due is None
    assert rig.session.heartbeat.latency_s is None


def test_a_missed_ack_is_not_carried_into_the_next_connection() -> None:
    rig = Rig(SAVED).live(heartbeat_s=40.0)
    rig.run_for(30.0)
    rig.lose()
    rig.live(heartbeat_s=40.0).forget_log()
    rig.run_for(59.0)
    assert rig.all(Abort, SendBeat) == [SendBeat()]


# Op 7 and op 9


def test_op_7_is_obeyed_at_once_and_the_session_resumed() -> None:
    # "You should attempt to reconnect and resume immediately."
    # https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-opcodes
    rig = Rig(SAVED).live()
    assert rig.do(Reconnect()) == [Hangup(4900)]
    assert rig.do(Lost(1001), Tick()) == [Dial(RESUME_URL)], "in the same moment"
    assert rig.do(Opened(), Hello(41.25)) == [RESUME]


def test_each_op_7_is_told_so_that_many_of_them_can_be_seen_as_one() -> None:
    rig = Rig(SAVED).live().forget_log()
    rig.do(Reconnect())
    rig.lose(1001)
    rig.greeting().do(Reconnect())
    assert [said for said in rig.said if said == TellSentAway()] == [TellSentAway()] * 2


def test_op_7_and_the_close_that_follows_are_one_reconnect() -> None:
    # "A few seconds after the reconnect event is dispatched, the connection may be closed by the server."
    # https://docs.discord.com/developers/events/gateway-events#reconnect
    rig = Rig(SAVED).live().forget_log()
    rig.do(Reconnect())
    rig.do(Lost(1001))
    rig.dialing()
    assert rig.do(Lost(1001)) == [], "late news of the old connection"
    assert rig.all(Dial) == [Dial(RESUME_URL)]


def test_a_peer_that_does_not_answer_our_close_is_dropped_after_2_s() -> None:
    rig = Rig(SAVED).live().forget_log()
    rig.do(Reconnect())
    rig.run_for(2.0)
    assert rig.log[1:] == [(START + 2.0, Abort()), (START + 2.0, Dial(RESUME_URL))]


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 1.0), (0.5, 3.0), (0.999, 4.996)])
def test_op_7_instead_of_hello_keeps_the_session_and_comes_again_after_a_pause(
    jitter: float, wait_s: float
) -> None:
    # "This can occur at any point in the gateway connection lifecycle, even before/in place of receiving a
    # Hello event." https://docs.discord.com/developers/events/gateway-events#reconnect
    rig = Rig(SAVED, jitter).greeting()
    assert rig.do(Reconnect()) == [Hangup(4900)]
    rig.lose(1001)
    assert rig.redial() == Dial(RESUME_URL)
    assert rig.now - START == pytest.approx(wait_s)
    assert rig.do(Opened(), Hello(41.25)) == [RESUME]


def test_op_7_instead_of_hello_twice_in_a_row_leads_to_the_other_host() -> None:
    rig = Rig(SAVED)
    for _ in range(2):
        assert rig.redial() == Dial(RESUME_URL)
        rig.do(Opened(), Reconnect())
        rig.lose(1001)
    assert rig.redial() == Dial(None)
    assert rig.do(Opened(), Hello(41.25)) == [TellHostFailed(RESUME_URL), RESUME]


@pytest.mark.parametrize("said", [InvalidSession(resumable=True), Faulty("not JSON")])
def test_op_9_or_nonsense_instead_of_hello_twice_in_a_row_leads_to_the_other_host(said: Any) -> None:
    rig = Rig(SAVED)
    for _ in range(2):
        assert rig.redial() == Dial(RESUME_URL)
        rig.do(Opened(), said)
        rig.lose()
    assert rig.redial() == Dial(None)
    assert rig.do(Opened(), Hello(41.25)) == [TellHostFailed(RESUME_URL), RESUME], "the session is kept"


def test_while_many_shards_are_sent_away_dials_are_spread_over_two_seconds() -> None:
    rig = Rig(SAVED, jitter=0.75).live().forget_log()
    rig.do(Conditions({}, storm_until=rig.now + 5.0, ready_at=0.0))
    rig.do(Reconnect())
    rig.lose(1001)
    left_at = rig.now
    rig.redial()
    assert rig.now - left_at == pytest.approx(1.5)


def test_a_host_that_other_shards_found_dead_is_not_dialed() -> None:
    rig = Rig(SAVED)
    rig.do(Conditions({RESUME_URL: rig.now + 600.0}, storm_until=0.0, ready_at=0.0))
    assert rig.redial() == Dial(None)
    assert rig.do(Opened(), Hello(41.25)) == [RESUME], "it has learned nothing that the others don't know"


def test_op_7_in_mid_replay_keeps_what_was_received() -> None:
    # "replay any lost events starting from the last sequence number it received"
    rig = Rig(SAVED).resuming()
    assert rig.dispatch(*range(101, 121)) == list(range(101, 121))
    rig.do(Reconnect())
    rig.lose(1001)
    rig.resuming()
    assert rig.dispatch(120, 121) == [121]


@pytest.mark.parametrize("phase", ["resuming", "live"])
def test_op_9_true_resumes_after_1_to_5_s(phase: str) -> None:
    # "an Invalid Session (opcode 9) event with the d field set to true", among what is to be resumed; the
    # wait was in the documentation until 2022: https://github.com/discord/discord-api-docs/issues/244
    rig: Rig = getattr(Rig(SAVED), phase)()
    assert rig.do(InvalidSession(resumable=True)) == [Hangup(4900)]
    rig.lose(1000)
    assert rig.redial() == Dial(RESUME_URL)
    assert rig.now - START == pytest.approx(3.0)
    assert rig.do(Opened(), Hello(41.25)) == [RESUME]


@pytest.mark.parametrize("phase", ["greeting", "resuming", "live"])
def test_op_9_false_ends_the_session_and_identifies_by_permit_after_1_to_5_s(phase: str) -> None:
    # "If the d field is set to false (which is most of the time), your app should disconnect. After
    # disconnect, your app should create a new connection with your cached URL ..., then send an Identify"
    rig: Rig = getattr(Rig(SAVED), phase)()
    assert rig.do(InvalidSession(resumable=False)) == [Forget(), Hangup(4900)]
    rig.lose()
    assert rig.redial() == Dial(None), "a new session begins at the REST address"
    assert rig.now - START == pytest.approx(3.0)
    assert rig.do(Opened(), Hello(41.25)) == [AskPermit()]


@pytest.mark.parametrize("resumable", [True, False])
def test_op_9_in_answer_to_identify_is_told_and_retried_later_and_later(resumable: bool) -> None:
    # "If your app exceeds this limit, Discord will respond with a Invalid Session (opcode 9) event."
    rig = Rig(jitter=0.999)
    waits = []
    for _ in range(9):
        rig.identifying()
        assert rig.do(InvalidSession(resumable)) == [TellIdentifyRefused(), Hangup(4900)]
        rig.lose()
        before = rig.now
        rig.dialing()
        waits.append(rig.now - before)
    assert waits[0] == pytest.approx(4.996)
    assert waits[-1] == pytest.approx(60.0, rel=0.01)


def test_op_9_in_mid_replay_loses_the_session_but_not_what_came() -> None:
    rig = Rig(SAVED).resuming()
    assert rig.dispatch(101, 102) == [101, 102]
    rig.do(InvalidSession(resumable=False))
    rig.lose()
    rig.identifying()
    assert rig.do(ready())[1:] == [
        TellLost(7, "op 9: Discord invalidated the session"),
        Deliver(),
    ]


def test_an_unknown_op_is_ignored_with_a_word() -> None:
    rig = Rig().live().forget_log()
    assert rig.do(UnknownOp(99)) == []
    assert isinstance(rig.said[0], Say)
    assert "99" in rig.said[0].text


def test_a_message_that_cannot_be_read_ends_the_connection_but_not_the_session() -> None:
    rig = Rig(SAVED).live()
    rig.dispatch(499)
    assert rig.do(Faulty("not JSON")) == [Hangup(4900)]
    assert rig.dispatch(501) == [], "nothing more of a connection that can't be trusted"
    rig.lose()
    assert rig.resuming().seq == 499


# Close codes: one test per row of the table


@pytest.mark.parametrize("code", KEPT)
def test_after_this_close_code_the_session_is_resumed(code: int | None) -> None:
    # "It's disconnected but doesn't receive any close code", or with one "that indicates it can reconnect"
    rig = Rig(SAVED).live()
    assert rig.lose(code) == []
    assert rig.redial() == Dial(RESUME_URL)
    assert rig.do(Opened(), Hello(41.25)) == [RESUME]
    assert rig.all(Forget, GiveUp, AskPermit) == []


@pytest.mark.parametrize("code", [4001, 4003, 4006, 4007, 4009])
def test_after_this_close_code_a_new_session_is_needed(code: int) -> None:
    # 4007: "Reconnect and start a new session." 4009: "Your session timed out."
    # https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
    rig = Rig(SAVED).live()
    assert rig.lose(code) == [Forget()]
    assert rig.redial() == Dial(None)
    assert 1.0 <= rig.now - START <= 5.0
    assert rig.do(Opened(), Hello(41.25)) == [AskPermit()]
    assert rig.all(SendResume) == [RESUME], "only the one from before"


@pytest.mark.parametrize(
    ("code", "cluster"),
    [(4004, True), (4010, False), (4011, False), (4012, True), (4013, True), (4014, True)],
)
@pytest.mark.parametrize("phase", ["greeting", "queued", "identifying", "live"])
def test_after_this_close_code_discord_is_never_dialed_again(code: int, cluster: bool, phase: str) -> None:
    # Those whose column "Reconnect" says false; dialing again could only burn identifies.
    # https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
    rig: Rig = getattr(Rig(), phase)()
    gave_up = rig.lose(code)[-1]
    assert isinstance(gave_up, GiveUp)
    assert (gave_up.cluster, gave_up.code) == (cluster, code)
    assert rig.phase is Phase.REFUSED
    rig.forget_log()
    assert rig.session.due is None
    rig.run_for(3600.0)
    assert rig.do(Tick(), Opened(), Hello(41.25), Lost(None), Draining("stop")) == []
    assert rig.do(PERMIT) == [ReturnPermit()]


def test_after_4008_there_is_a_pause_of_5_s_at_least() -> None:
    # "Woah nelly! You're sending payloads to us too quickly. Slow it down!"
    rig = Rig(SAVED).live()
    rig.lose(4008)
    rig.redial()
    assert rig.now - START >= 5.0


@pytest.mark.parametrize(("code", "earliest_s"), [(4001, 1.0), (4005, 1.0), (4008, 5.0), (4009, 1.0)])
@pytest.mark.parametrize("jitter", [0.0, 0.75])
def test_shards_that_are_closed_together_do_not_dial_together(
    code: int, earliest_s: float, jitter: float
) -> None:
    rig = Rig(SAVED, jitter).live()
    rig.lose(code)
    rig.redial()
    assert rig.now - START == earliest_s + jitter


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 0.0), (0.999, 0.999)])
def test_after_an_unexpected_end_the_first_dial_comes_within_a_second(jitter: float, wait_s: float) -> None:
    rig = Rig(SAVED, jitter).live()
    rig.lose()
    rig.redial()
    assert rig.now - START == pytest.approx(wait_s)


def test_a_refusal_while_waiting_for_a_permit_withdraws_it() -> None:
    rig = Rig().queued()
    assert rig.lose(4004)[0] == WithdrawPermit()


# Resuming


def test_a_resume_host_that_refuses_is_left_for_the_rest_address_and_tried_again_after_it() -> None:
    rig = Rig(SAVED)
    dials = []
    for _ in range(4):
        dials.append(rig.redial())
        rig.fail_dial()
    assert dials == [Dial(RESUME_URL), Dial(None), Dial(RESUME_URL), Dial(None)]
    assert rig.greeting().do(Hello(41.25)) == [RESUME]


@pytest.mark.parametrize("code", [None, 1001, 4000])
def test_a_resume_host_that_closes_twice_before_hello_is_left_for_the_rest_address(code: int | None) -> None:
    rig = Rig(SAVED)
    for _ in range(2):
        assert rig.redial() == Dial(RESUME_URL)
        rig.do(Opened())
        rig.lose(code)
    assert rig.redial() == Dial(None)
    assert rig.do(Opened(), Hello(41.25)) == [TellHostFailed(RESUME_URL), RESUME]


def test_failed_dials_do_not_cost_the_session() -> None:
    rig = Rig(SAVED)
    for _ in range(20):
        rig.fail_dial()
    for _ in range(20):
        rig.greeting().lose()
    assert rig.greeting().do(Hello(41.25)) == [RESUME]


def test_retry_after_of_a_refused_upgrade_is_waited_for() -> None:
    rig = Rig()
    rig.fail_dial(retry_after_s=120.0)
    rig.redial()
    assert rig.now - START >= 120.0


def test_three_resumes_without_one_event_end_the_session() -> None:
    rig = Rig(SAVED)
    for attempt in range(3):
        assert rig.all(Forget) == []
        rig.resuming().lose(1006)
        assert len(rig.all(SendResume)) == attempt + 1
    assert rig.all(Forget) == [Forget()]
    assert rig.redial() == Dial(None)
    assert rig.do(Opened(), Hello(41.25)) == [AskPermit()]


def test_resumes_that_could_not_be_written_are_no_attempts() -> None:
    rig = Rig(SAVED)
    for _ in range(5):
        assert rig.resuming().do(Unsent()) == []
        rig.lose(1006)
    assert rig.all(Forget) == []


def test_one_replayed_event_shows_that_the_session_is_alive() -> None:
    rig = Rig(SAVED)
    for seq in range(101, 120):
        assert rig.resuming().dispatch(seq) == [seq]
        rig.lose(1006)
    assert rig.all(Forget) == []


def test_a_replayed_duplicate_shows_that_the_session_is_alive_too() -> None:
    rig = Rig(SAVED)
    for _ in range(5):
        assert rig.resuming().dispatch(100) == []
        rig.lose(1006)
    assert rig.all(Forget) == []


def test_resumed_shows_that_the_session_is_alive_even_if_its_seq_is_not_new() -> None:
    rig = Rig(SAVED)
    for _ in range(5):
        assert rig.resuming().do(Resumed(100)) == []
        assert rig.phase is Phase.LIVE
        rig.lose(1006)
    assert rig.all(Forget) == []


def test_resumed_without_a_number_ends_the_replay_and_is_not_delivered() -> None:
    # "finishing with a Resumed event to signal event replay has finished"
    rig = Rig(SAVED).resuming()
    assert rig.dispatch(101, 102) == [101, 102]
    assert rig.do(BareResumed()) == []
    assert rig.phase is Phase.LIVE
    assert rig.seq == 102
    assert "2 missed events" in str(rig.said[-1])
    assert rig.dispatch(103) == [103]


def test_fruitless_resumes_of_a_lost_session_do_not_count_for_the_next_one() -> None:
    rig = Rig(SAVED)
    rig.resuming().lose()
    rig.resuming().lose()
    rig.resuming().lose(4007)
    rig.live().lose()
    for _ in range(2):
        rig.resuming().lose()
    assert rig.all(Forget) == [Forget()], "the old one only"


def test_a_new_ready_replaces_the_resume_address() -> None:
    # "The resume_gateway_url should be used instead of the URL used when connecting."
    rig = Rig(SAVED).live()
    rig.lose(4009)
    rig.live().lose()
    assert rig.redial() == Dial(NEW_RESUME_URL)
    assert rig.do(Opened(), Hello(41.25)) == [SendResume("a" * 32)]


# Waits


def test_ready_then_drop_loops_back_off_to_a_minute() -> None:
    rig = Rig(SAVED, jitter=0.999_999)
    waits = []
    for _ in range(9):
        rig.live().lose()
        before = rig.now
        rig.dialing()
        waits.append(rig.now - before)
    assert waits == pytest.approx([1, 1, 2, 4, 8, 16, 32, 60, 60], rel=0.001)


@pytest.mark.parametrize(("live_s", "wait_s"), [(59.0, 4.0), (60.0, 1.0)])
def test_only_a_minute_of_being_live_makes_the_next_wait_short_again(live_s: float, wait_s: float) -> None:
    rig = Rig(SAVED, jitter=0.999_999)
    for _ in range(3):
        rig.live().lose()
    rig.live()
    rig.run_for(live_s, acks=True)
    rig.lose()
    before = rig.now
    rig.dialing()
    assert rig.now - before == pytest.approx(wait_s, rel=0.001)


def test_op_7_on_every_connection_is_not_obeyed_at_once_for_ever() -> None:
    rig = Rig(SAVED)
    for _ in range(30):
        rig.live().do(Reconnect(), Lost(1001))
    assert rig.now - START > 600.0


# Permits


def test_a_permit_is_withdrawn_when_the_connection_that_waited_drops() -> None:
    rig = Rig().queued()
    assert rig.lose() == [WithdrawPermit()]
    rig.forget_log().queued()
    assert rig.all(AskPermit, WithdrawPermit) == [AskPermit()]


@pytest.mark.parametrize("event", [Reconnect(), InvalidSession(resumable=False), Faulty("not JSON")])
def test_a_permit_is_withdrawn_once_when_we_hang_up(event: Any) -> None:
    rig = Rig().queued()
    rig.do(event)
    rig.lose()
    rig.dialing()
    assert rig.all(WithdrawPermit) == [WithdrawPermit()]


def test_a_permit_is_withdrawn_when_the_connection_that_waited_is_a_zombie() -> None:
    rig = Rig().queued(heartbeat_s=40.0)
    rig.run_for(60.0)
    assert rig.log[-2:] == [(START + 60.0, Abort()), (START + 60.0, WithdrawPermit())]


@pytest.mark.parametrize("phase", ["dialing", "greeting", "identifying", "live"])
def test_a_permit_that_comes_at_another_time_is_returned(phase: str) -> None:
    # 4005: "You sent more than one identify payload. Don't do that!"
    rig: Rig = getattr(Rig(), phase)()
    assert rig.do(PERMIT) == [ReturnPermit()]


def test_a_permit_that_comes_while_resuming_is_returned() -> None:
    assert Rig(SAVED).resuming().do(PERMIT) == [ReturnPermit()]


def test_a_permit_that_this_process_slept_through_is_returned_and_another_asked_for() -> None:
    rig = Rig().queued()
    assert rig.do(Permitted(until=START)) == [ReturnPermit(), AskPermit()]
    assert rig.do(Permitted(until=START + 0.1)) == [SendIdentify()]


def test_a_permit_whose_identify_could_not_be_written_is_returned_and_another_asked_for() -> None:
    # "Clients are limited to 1000 IDENTIFY calls to the websocket in a 24-hour period": one that never got
    # there is none of them. https://docs.discord.com/developers/events/gateway#identifying
    rig = Rig().identifying()
    assert rig.do(Unsent()) == [ReturnPermit()]
    rig.lose(1006)
    rig.forget_log().queued()
    assert rig.all(AskPermit, ReturnPermit) == [AskPermit()]


# Draining


@pytest.mark.parametrize(
    ("phase", "effects"),
    [
        ("dialing", [Abort()]),
        ("greeting", [Hangup(4900)]),
        ("queued", [WithdrawPermit(), Hangup(4900)]),
        ("identifying", [Hangup(4900)]),
        ("live", [Hangup(4900)]),
    ],
)
def test_draining_leaves_each_phase_with_a_code_that_keeps_the_session(
    phase: str, effects: list[Effect]
) -> None:
    # "If you simply close the TCP connection or use a different close code [than 1000 or 1001], the session
    # will remain active and timeout after a few minutes."
    rig: Rig = getattr(Rig(), phase)()
    assert rig.do(Draining("asked to stop")) == effects
    _nothing_more(rig)


def test_draining_leaves_a_replay_with_a_code_that_keeps_the_session() -> None:
    rig = Rig(SAVED).resuming()
    assert rig.do(Draining("asked to stop")) == [Hangup(4900)]
    _nothing_more(rig)


def test_draining_before_the_first_dial_needs_nothing() -> None:
    rig = Rig()
    assert rig.do(Draining("asked to stop")) == []
    _nothing_more(rig)


def test_draining_while_closing_does_not_close_twice() -> None:
    rig = Rig().live()
    rig.do(Reconnect())
    assert rig.do(Draining("asked to stop")) == []
    _nothing_more(rig)


def _nothing_more(rig: Rig) -> None:
    assert rig.phase is Phase.STOPPED
    assert rig.session.due is None
    assert rig.do(Draining("again"), Lost(None), Tick(), Hello(41.25), ready()) == []
    assert rig.do(PERMIT) == [ReturnPermit()]
    assert rig.all(Forget) == []


# What counts for the send limit


def test_identify_and_resume_count_among_what_may_be_sent_in_a_minute() -> None:
    # "Apps can send 120 gateway events per connection every 60 seconds"; op 1 gets 50 of them at most
    for rig in (Rig().identifying(), Rig(SAVED).resuming()):
        assert rig.do(*[BeatRequest()] * 130) == [SendBeat()] * 49


@pytest.mark.parametrize(("interval_s", "commands"), [(41.25, 114), (10.0, 109), (1.0, 54)])
def test_how_often_beats_are_due_says_how_many_commands_have_room_beside_them(
    interval_s: float, commands: int
) -> None:
    # "Apps can send 120 gateway events per connection every 60 seconds", beats among them
    assert commands_in_a_moment(Rig().live(interval_s)) == commands
    changed = Rig().live(heartbeat_s=20.0)
    changed.do(Hello(interval_s))
    assert commands_in_a_moment(changed) == commands


def test_what_was_sent_counts_as_long_as_its_connection_lasts_and_no_longer() -> None:
    # "Apps can send 120 gateway events per connection every 60 seconds": per connection
    rig = Rig(SAVED).live()
    assert commands_in_a_moment(rig) == 114
    rig.do(Hello(41.25))
    assert commands_in_a_moment(rig) == 0
    rig.lose()
    rig.live()
    assert commands_in_a_moment(rig) == 114


def commands_in_a_moment(rig: Rig) -> int:
    budget, sent = rig.session.budget, 0
    while budget.room_for_command(rig.now):
        budget.note_command(rig.now)
        sent += 1
    return sent


# Dispatches


def test_a_seq_that_came_already_is_not_delivered_again_but_counted() -> None:
    rig = Rig(SAVED).live()
    assert rig.dispatch(102, 102, 101, 103) == [102, 103]
    assert rig.session.standing.duplicates == 2


def test_a_gap_is_delivered_and_counted() -> None:
    rig = Rig(SAVED).live()
    assert rig.dispatch(102, 107, 108) == [102, 107, 108]
    assert rig.session.standing.gaps == 1


def test_a_new_session_counts_from_its_own_ready() -> None:
    rig = Rig(SAVED).live()
    rig.lose(4009)
    rig.live()
    assert rig.dispatch(1, 2, 3) == [2, 3]


@pytest.mark.parametrize("phase", ["dialing", "greeting", "queued", "identifying"])
def test_a_dispatch_outside_of_a_session_is_not_delivered(phase: str) -> None:
    rig: Rig = getattr(Rig(), phase)()
    assert rig.dispatch(1) == []
    assert rig.do(Resumed(2)) == []


def test_a_dispatch_after_our_close_is_not_delivered_since_resume_brings_it_again() -> None:
    rig = Rig(SAVED).live()
    rig.do(Reconnect())
    assert rig.dispatch(102) == []
    rig.lose()
    assert rig.resuming().dispatch(102) == [102]


def test_between_sessions_there_is_no_seq() -> None:
    # "If your app hasn't received any events yet, you can just pass null in the d field."
    rig = Rig(SAVED).live()
    rig.lose(4009)
    assert rig.session.standing.seq is None
    assert rig.live().session.standing.seq == 1


# Lost sessions


def test_a_lost_session_is_told_once_and_before_ready_is_delivered() -> None:
    rig = Rig(SAVED).live()
    rig.lose(4009)
    for _ in range(3):
        rig.identifying().do(InvalidSession(resumable=False))
        rig.lose()
    assert rig.all(TellLost) == []
    rig.identifying()
    effects = rig.do(ready())
    assert effects[1:] == [TellLost(7, "close code 4009 session timed out"), Deliver()]
    rig.lose()
    rig.resuming().do(Resumed(2))
    assert len(rig.all(TellLost)) == 1


def test_a_log_whose_session_cannot_be_resumed_is_told_as_a_loss() -> None:
    rig = Rig(number=7).live()
    assert rig.all(Remember, TellLost, Deliver) == [
        Remember(8, "a" * 32, NEW_RESUME_URL),
        TellLost(7, "no saved session that may be resumed"),
        Deliver(),
    ]


def test_the_first_session_of_a_log_loses_nothing() -> None:
    assert Rig().live().all(TellLost) == []


# What a person reads


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Reconnect(), "op 7: the gateway asks us to reconnect"),
        (InvalidSession(resumable=True), "op 9: session invalid, but resumable"),
        (Faulty("not JSON"), "the gateway sent what can't be read: not JSON"),
    ],
)
def test_the_state_says_why_we_left_and_not_only_that_we_did(event: Any, why: str) -> None:
    rig = Rig(SAVED).live()
    rig.do(event)
    rig.lose(1001)
    (report,) = [said for said in rig.said[-2:] if isinstance(said, Report)]
    assert report.reason.startswith(f"{why}; next attempt in ")


def test_the_first_dial_after_a_good_connection_is_called_the_first() -> None:
    rig = Rig(SAVED).live()
    rig.run_for(60.0, acks=True)
    numbers = []
    for _ in range(2):
        rig.lose()
        rig.forget_log().greeting()
        numbers += [say.text[-9:] for say in rig.said if isinstance(say, Say) and "connecting" in say.text]
    assert numbers == ["attempt 1", "attempt 2"]


def test_op_9_where_no_session_is_does_not_speak_of_one() -> None:
    rig = Rig().queued().forget_log()
    rig.do(InvalidSession(resumable=False))
    assert rig.said[0] == Say(logging.WARNING, "op 9 where there is no session")


# Late news and all others


def test_late_news_of_an_old_connection_changes_nothing_while_offline() -> None:
    rig = Rig(SAVED).live()
    rig.lose()
    assert rig.do(Lost(4004), Opened(), Hello(41.25), Ack(), Reconnect(), Faulty("x"), Resumed(9)) == []
    assert rig.phase is Phase.OFFLINE


def test_late_news_of_an_old_connection_changes_nothing_while_dialing() -> None:
    rig = Rig(SAVED).dialing()
    assert rig.do(Lost(4004), Hello(41.25), BeatRequest(), ready(), InvalidSession(resumable=False)) == []
    assert rig.phase is Phase.DIALING


def test_a_connection_opens_once() -> None:
    rig = Rig(SAVED).greeting()
    assert rig.do(Opened()) == []
    assert rig.phase is Phase.GREETING


def test_no_close_of_ours_ever_ends_a_session() -> None:
    rig = Rig(SAVED)
    for event in (Reconnect(), Faulty("x"), InvalidSession(resumable=True), ready()):
        rig.live().do(event)
        rig.lose()
    rig.greeting().run_for(20.0)
    rig.live().do(Draining("asked to stop"))
    assert set(closes(rig.all(Hangup, Abort))) <= {4900, "abort"}


def test_every_phase_is_reachable_and_every_phase_can_stop() -> None:
    assert set(EDGES) == set(Phase)
    assert {end for ends in EDGES.values() for end in ends} == set(Phase)
    for phase, ends in EDGES.items():
        assert Phase.STOPPED in ends or phase in {Phase.STOPPED, Phase.REFUSED}


def test_others_are_told_of_every_phase_but_the_two_short_ones() -> None:
    assert set(Phase) - set(STATES) == {Phase.GREETING, Phase.CLOSING}


# Outages, sleep and silence


def test_while_no_shard_at_all_gets_ready_it_is_waited_for_as_long_as_heartbeats_are_answered() -> None:
    # "The Gateway will eventually respond and issue a session once it's able to": another IDENTIFY would not
    # be answered sooner. https://docs.discord.com/developers/events/gateway#heartbeat-interval
    rig = Rig().identifying()
    rig.run_for(899.0, acks=True)
    assert rig.phase is Phase.IDENTIFYING
    rig.run_for(2.0, acks=True)
    assert rig.log[-1] == (START + 900.0, Hangup(4900))
    assert rig.all(SendIdentify) == [SendIdentify()]


def test_an_outage_is_over_for_all_when_one_shard_gets_ready() -> None:
    rig = Rig().identifying()
    rig.run_for(100.0, acks=True)
    rig.do(Conditions({}, storm_until=0.0, ready_at=rig.now))
    rig.run_for(80.0, acks=True)
    assert rig.log[-1] == (START + 180.0, Hangup(4900))


def test_an_identify_without_ready_and_without_acks_is_no_outage() -> None:
    rig = Rig(jitter=0.999).identifying(heartbeat_s=200.0)
    rig.run_for(90.0)
    assert rig.log[-1] == (START + 0.0 + 90.0, Hangup(4900))


def test_a_suspended_machine_leaves_a_connection_that_missed_a_heartbeat_and_resumes() -> None:
    rig = Rig(SAVED).live().forget_log()
    assert rig.do(Slept(1200.0)) == [Abort()]
    assert rig.redial() == Dial(RESUME_URL)


def test_a_short_sleep_is_reason_to_look_whether_the_connection_lives() -> None:
    rig = Rig(SAVED).live(heartbeat_s=41.25).forget_log()
    assert rig.do(Slept(6.0)) == [SendBeat()]
    rig.now += 0.1
    rig.ack()
    rig.run_for(10.0)
    assert rig.phase is Phase.LIVE


def test_a_doubted_connection_that_does_not_answer_in_ten_seconds_is_left() -> None:
    rig = Rig(SAVED).live().forget_log()
    assert rig.do(Doubted("the wall clock jumped by 3600 s")) == [SendBeat()]
    rig.run_for(10.0)
    assert closes(rig.all(Hangup, Abort)) == ["abort"]


@pytest.mark.parametrize("event", [Slept(1200.0), Doubted("no reason")])
def test_where_there_is_no_connection_sleep_and_doubt_change_nothing(event: Slept | Doubted) -> None:
    rig = Rig(SAVED)
    assert rig.do(event) == []
    rig.greeting().forget_log()
    assert rig.do(event) == []


def test_a_shard_that_hears_nothing_for_unusually_long_resumes_although_it_gets_acks() -> None:
    rig = Rig(SAVED).live().forget_log()
    rig.run_for(3600.0, acks=True, dispatch_every=1.0)
    assert closes(rig.all(Hangup, Abort)) == []
    while not rig.all(Hangup):
        rig.run_for(1.0, acks=True)
    assert 600.0 < rig.now - START - 3600.0 < 645.0
    assert rig.all(Hangup) == [Hangup(4900)]
    left_at = rig.now
    rig.lose()
    assert rig.redial() == Dial(RESUME_URL)
    assert rig.now == left_at, "every second may hold another event back"


def test_a_shard_that_hears_nothing_from_its_first_resume_on_resumes_again_although_it_gets_acks() -> None:
    rig = Rig(SAVED).live().forget_log()  # it succeeds a worker that died
    while not rig.all(Hangup):
        rig.run_for(1.0, acks=True)
    assert 600.0 < rig.now - START < 645.0
    assert rig.all(Hangup) == [Hangup(4900)]
    rig.lose()
    assert rig.redial() == Dial(RESUME_URL)


@pytest.mark.parametrize("code", [1001, 1012, 4000])
def test_a_session_that_discord_sends_away_each_time_is_kept_for_ten_minutes_and_not_for_ever(
    code: int,
) -> None:
    rig = Rig(SAVED).resuming()
    began_at = rig.now
    rig.lose(code)
    while not rig.all(Forget):
        rig.resuming()
        rig.lose(code)
    assert 600.0 <= rig.now - began_at < 661.0


def test_a_resume_that_op_7_ends_is_not_held_against_the_session_but_the_next_that_just_ends_is() -> None:
    rig = Rig(SAVED)
    for _ in range(5):
        rig.resuming().do(Reconnect())
        rig.lose(1001)
    assert rig.all(Forget) == []
    for _ in range(3):
        rig.resuming(heartbeat_s=20.0).run_for(30.0)  # a beat at 10 s, nobody answers
    assert rig.all(Forget) == [Forget()]


def test_4005_now_and_then_is_not_4005_in_a_row() -> None:
    rig = Rig(SAVED)
    for _ in range(5):
        rig.live().run_for(60.0, acks=True)
        rig.lose(4005)
    assert rig.all(Forget) == []


def test_4005_is_resumed_once_and_then_the_session_is_given_up() -> None:
    rig = Rig(SAVED).live().forget_log()
    rig.lose(4005)
    rig.live()
    rig.lose(4005)
    assert rig.all(Forget) == [Forget()]


def test_a_flood_of_op_1_before_hello_leaves_room_for_resume_and_beats() -> None:
    # "Apps can send 120 gateway events per connection every 60 seconds"
    rig = Rig(SAVED).greeting()
    for _ in range(150):
        rig.do(BeatRequest())
    rig.do(Hello(41.25))
    for _ in range(150):
        rig.do(BeatRequest())
    rig.run_for(59.0, acks=True)
    assert len(rig.all(SendBeat, SendResume)) <= 120
    assert rig.all(SendResume) == [RESUME]


def test_unknown_opcodes_are_counted_and_each_is_said_once_but_not_countless_ones() -> None:
    rig = Rig().live().forget_log()
    for op in (99, 99, 12, 99):
        rig.do(UnknownOp(op))
    assert [say.text for say in rig.said if isinstance(say, Say)] == [
        "unknown opcode 99 ignored; further ones are only counted",
        "unknown opcode 12 ignored; further ones are only counted",
    ]
    rig.forget_log()
    for op in range(1000, 2000):
        rig.do(UnknownOp(op))
    assert rig.session.unknown_ops == 1004
    assert len(rig.said) == 14
