"""Each invariant is kept by a client that behaves, and broken here by one that does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gwsimulator import rest
from gwsimulator.faults import RestFault
from support.sim_rig import QUERY, Rig

BOT = {"Authorization": "Bot abc", "User-Agent": "DiscordBot (https://example.com, 1.0)"}
IDLE: dict[str, object] = {"since": None, "activities": [], "status": "idle", "afk": False}


def numbers(sentences: list[str]) -> set[str]:
    return {sentence.partition(":")[0] for sentence in sentences}


def hang_up(rig: Rig, shard: int, code: int) -> None:
    rig.perform(rig.gateway.links.hang_up(rig.gateway.links.of_shard(shard)[0], code, "", rig.now))


def test_a_client_that_does_everything_right_breaks_nothing() -> None:
    rig = Rig(shards=2, daily_limit=10)
    rest.answer(rig.gateway, "/api/v10/gateway/bot", BOT, "ws://gateway.test", rig.now)
    first, session = rig.go_live(0)
    rig.run_for(5.0)
    second, _ = rig.go_live(1)
    rig.run_for(20.0)
    rig.send(first, 1, 3)
    rig.happen()
    rig.lose(first, 4900)
    again = rig.dial("resume")
    rig.resume(again, session, 3)
    rig.send(second, 1, 3)
    rig.send(second, 3, IDLE)
    rig.run_for(30.0)
    rig.send(again, 1, 5)
    assert rig.broken(reserve=8, rest_calls=1) == []


def test_identifies_of_a_key_within_5_s_break_i1() -> None:
    rig = Rig(shards=4, max_concurrency=2)
    rig.identify(rig.dial(), shard=[0, 4])
    rig.identify(rig.dial(), shard=[1, 4])
    rig.run_for(4.9)
    rig.identify(rig.dial(), shard=[2, 4])
    assert rig.broken() == ["I1: shards 0 and 2 identified 4.900 s apart on key 0, at 10004.900"]
    rig.run_for(5.0)
    rig.identify(rig.dial(), shard=[2, 4])
    assert len(rig.broken(excused={"I3"})) == 1


@pytest.mark.parametrize(("reserve", "used", "found"), [(7, 0, 0), (8, 0, 1), (0, 7, 0), (0, 8, 1)])
def test_identifies_beyond_the_limit_less_the_reserve_break_i2(reserve: int, used: int, found: int) -> None:
    rig = Rig(daily_limit=10, identifies_used=used)
    for _ in range(3):
        link = rig.dial()
        rig.identify(link)
        rig.lose(link)
        rig.run_for(10_000.0)
    assert len(rig.broken(reserve=reserve)) == found


def test_identifies_of_yesterday_are_none_of_today() -> None:
    rig = Rig(daily_limit=2, daily_window="sliding")
    for _ in range(4):
        rig.lose(rig.go_live()[0])
        rig.run_for(43_200.0)
    assert rig.broken() == []


def test_two_sessions_of_a_shard_at_once_break_i3() -> None:
    rig = Rig(identify_window_s=0.0)
    rig.go_live()
    rig.run_for(1.0)
    rig.go_live()
    assert numbers(rig.broken()) == {"I3"}


def test_a_session_resumed_away_from_a_healthy_connection_breaks_i3() -> None:
    rig = Rig()
    _, session = rig.go_live()
    rig.resume(rig.dial("resume"), session, 3)
    assert numbers(rig.broken()) == {"I3"}


@pytest.mark.parametrize("resumes", [True, False])
def test_a_connection_that_the_server_left_hanging_breaks_no_i3(resumes: bool) -> None:
    rig = Rig(identify_window_s=0.0)
    link, session = rig.go_live()
    rig.perform(
        rig.gateway.links.stall(rig.gateway.links.get(link), rig.now, reads=True, writes=True)  # type: ignore[arg-type]
    )
    rig.run_for(1.0)
    if resumes:
        rig.resume(rig.dial("resume"), session, 3)
    else:
        rig.identify(rig.dial())
    assert rig.broken() == []


@pytest.mark.parametrize(("code", "found"), [(1000, {"I4"}), (1001, {"I4"}), (4900, set()), (None, set())])
def test_closing_with_1000_or_1001_breaks_i4(code: int | None, found: set[str]) -> None:
    rig = Rig()
    link, _ = rig.go_live()
    rig.lose(link, code)
    assert numbers(rig.broken()) == found
    assert rig.broken(permanent_stop=True) == []


def test_coming_back_after_a_permanent_stop_breaks_i4() -> None:
    rig = Rig()
    rig.lose(rig.go_live()[0], 1000)
    rig.run_for(60.0)
    rig.go_live()
    assert rig.broken(permanent_stop=True) == [
        "I4: shard 0 came back at 10060.000 after it was stopped for good"
    ]


def lost(rig: Rig, seq: int = 3) -> str:
    link, session = rig.go_live()
    for _ in range(seq - 3):
        rig.happen()
    rig.lose(link)
    return session


def test_a_resume_without_its_query_breaks_i5() -> None:
    rig = Rig()
    session = lost(rig)
    rig.resume(rig.dial("resume", compress="zlib-stream", v="10"), session, 3)
    assert rig.broken() == ["I5: the RESUME of shard 0 at 10000.000 came without encoding in the query"]


def test_a_resume_on_the_host_of_rest_breaks_i5() -> None:
    rig = Rig()
    rig.resume(rig.dial("gateway"), lost(rig), 3)
    assert numbers(rig.broken()) == {"I5"}


@pytest.mark.parametrize("how", ["refused", "down", "silent"])
def test_a_resume_there_breaks_nothing_after_the_resume_host_failed(how: str) -> None:
    rig = Rig()
    session = lost(rig)
    if how == "silent":
        rig.faults.greetings.add("silent")
        rig.lose(rig.dial("resume"))
    else:
        rig.gateway.refused("resume", None if how == "down" else 503, rig.now)
    rig.resume(rig.dial("gateway"), session, 3)
    assert rig.broken() == []


def test_a_resume_from_further_back_than_before_breaks_i5() -> None:
    rig = Rig()
    session = lost(rig, 6)
    link = rig.dial("resume")
    rig.resume(link, session, 6)
    rig.lose(link)
    rig.resume(rig.dial("resume"), session, 5)
    assert rig.broken() == ["I5: the RESUME of shard 0 at 10000.000 asked from 5, after one from 6"]


def test_a_resume_under_another_token_breaks_i5() -> None:
    rig = Rig()
    rig.resume(rig.dial("resume"), lost(rig), 3, token="other")
    assert rig.broken() == ["I5: the RESUME of shard 0 at 10000.000 had another token than the session"]


def test_a_message_of_more_than_4096_bytes_breaks_i6_whatever_the_settings_let_pass() -> None:
    rig = Rig(max_payload_bytes=15_360)
    link, _ = rig.go_live()
    frame = json.dumps({"op": 1, "d": 3}).encode()
    rig.send_raw(link, frame + b" " * (4096 - len(frame)))
    assert rig.broken() == []
    rig.send_raw(link, frame + b" " * (4097 - len(frame)))
    assert rig.broken() == ["I6: connection 1 sent 4097 bytes at 10000.000"]
    assert rig.ended == {}


def test_121_messages_in_60_s_break_i6_once() -> None:
    rig = Rig(send_limit=120)
    link, _ = rig.go_live()
    for _ in range(119):
        rig.send(link, 1, 3)
    assert rig.broken() == []
    rig.run_for(30.0)
    rig.send(link, 1, 3)
    rig.send(link, 1, 3)
    assert rig.broken() == ["I6: connection 1 sent 121 messages within 60 s, at 10030.000"]


def test_no_first_beat_within_the_interval_breaks_i7_before_the_server_loses_patience() -> None:
    rig = Rig()
    rig.dial()
    rig.run_for(42.0)
    assert rig.broken() == []
    rig.run_for(1.0)
    assert rig.broken() == [
        "I7: connection 1 had no beat for 43.000 s since HELLO, at 10043.000; the interval is 41.25 s"
    ]
    assert rig.rules_broken() == []


def test_a_late_later_beat_breaks_i7_and_a_stopped_server_excuses_it() -> None:
    for stalled, found in [(False, {"I7"}), (True, set())]:
        rig = Rig(heartbeat_interval_ms=10_000)
        link, _ = rig.go_live()
        rig.live_for(link, 60.0, 10.0)
        assert rig.broken() == []
        holder = rig.gateway.links.get(link)
        assert holder is not None
        if stalled:
            rig.perform(rig.gateway.links.stall(holder, rig.now, reads=True, writes=True))
        rig.run_for(11.5)
        if stalled:
            rig.perform(rig.gateway.links.stall(holder, rig.now, reads=False, writes=False))
        rig.send(link, 1, 3)
        assert numbers(rig.broken()) == found


@pytest.mark.parametrize(
    ("waited_s", "said", "found"),
    [(6.0, 4, set()), (6.0, 3, {"I7"}), (6.0, None, {"I7"}), (4.0, 3, set())],
)
def test_a_beat_that_forgets_what_was_delivered_breaks_i7(
    waited_s: float, said: int | None, found: set[str]
) -> None:
    rig = Rig()
    link, _ = rig.go_live()
    rig.run_for(10.0)
    rig.happen()
    rig.run_for(waited_s)
    rig.send(link, 1, said)
    assert numbers(rig.broken(seq_lag_s=5.0)) == found


def test_a_beat_just_after_a_resume_says_at_least_where_it_resumed_from() -> None:
    for said, found in [(3, set()), (None, {"I7"})]:
        rig = Rig()
        session = lost(rig)
        rig.run_for(60.0)
        link = rig.dial("resume")
        rig.resume(link, session, 3)
        rig.send(link, 1, said)
        assert numbers(rig.broken()) == found


def ask(rig: Rig) -> None:
    rest.answer(rig.gateway, "/api/v10/gateway/bot", BOT, "ws://gateway.test", rig.now)


def test_more_rest_calls_than_expected_break_i10() -> None:
    rig = Rig()
    ask(rig)
    ask(rig)
    assert rig.broken(rest_calls=2) == []
    assert rig.broken(rest_calls=1) == ["I10: 2 REST calls instead of at most 1"]


@pytest.mark.parametrize(
    "fault",
    [
        RestFault(429, b"", {"Retry-After": "90"}),
        RestFault(429, b'{"retry_after":90.0,"global":false}'),
    ],
)
def test_asking_before_a_429_allows_it_breaks_i10(fault: RestFault) -> None:
    for waited_s, found in [(89.0, set[str]() | {"I10"}), (90.0, set[str]())]:
        rig = Rig()
        rig.faults.rest.add(fault)
        ask(rig)
        rig.run_for(waited_s)
        ask(rig)
        assert numbers(rig.broken()) == found


def test_identifying_again_after_4014_breaks_i12_for_every_shard() -> None:
    for shard in (0, 1):
        rig = Rig()
        rig.go_live(0)
        hang_up(rig, 0, 4014)
        rig.run_for(3600.0)
        assert rig.broken() == []
        rig.identify(rig.dial(), shard)
        assert numbers(rig.broken()) == {"I12"}


def test_shards_that_were_running_may_resume_after_4014_but_not_the_refused_one() -> None:
    rig = Rig(identify_window_s=0.0, heartbeat_interval_ms=3_600_000)
    _, refused = rig.go_live(0)
    other, session = rig.go_live(1)
    hang_up(rig, 0, 4014)
    rig.run_for(60.0)
    rig.lose(other)
    rig.resume(rig.dial("resume"), session, 3)
    assert rig.broken() == []
    rig.resume(rig.dial("resume"), refused, 3)
    assert rig.broken() == ["I12: RESUME of shard 0 at 10060.000, after 4014 of shard 0 at 10000.000"]


@pytest.mark.parametrize("upgraded", [True, False])
def test_a_dial_after_4004_breaks_i12_when_no_shard_ever_lived(upgraded: bool) -> None:
    rig = Rig(token="right")
    rig.identify(rig.dial(), token="wrong")
    rig.run_for(60.0)
    if upgraded:
        rig.dial()
    else:
        rig.gateway.refused("gateway", 503, rig.now)
    assert rig.broken() == ["I12: a dial at 10060.000, after 4004 of shard 0 at 10000.000"]


@pytest.mark.parametrize(
    ("code", "shard", "found"), [(4010, [0, 2], 1), (4010, [1, 2], 0), (4011, [0, 4], 0), (4011, [0, 2], 1)]
)
def test_4010_and_4011_concern_a_shard_of_a_count(code: int, shard: list[int], found: int) -> None:
    rig = Rig()
    rig.go_live(0)
    hang_up(rig, 0, code)
    rig.run_for(60.0)
    rig.identify(rig.dial(), shard=shard)
    assert len(rig.broken()) == found


@pytest.mark.parametrize("code", [4004, 4012, 4013, 4014])
def test_each_code_that_refuses_the_bot_concerns_every_shard(code: int) -> None:
    rig = Rig()
    rig.go_live(0)
    hang_up(rig, 0, code)
    rig.run_for(60.0)
    rig.identify(rig.dial(), 1)
    assert numbers(rig.broken()) == {"I12"}


@pytest.mark.parametrize("code", [4000, 4009, 1001])
def test_other_codes_keep_nobody_away(code: int) -> None:
    rig = Rig()
    rig.go_live(0)
    hang_up(rig, 0, code)
    rig.run_for(60.0)
    rig.identify(rig.dial(**QUERY))
    assert rig.broken() == []


def test_what_is_excused_is_not_told() -> None:
    rig = Rig()
    rig.lose(rig.go_live()[0], 1000)
    terms: dict[str, Any] = {"excused": {"I4"}}
    assert rig.broken(**terms) == []
