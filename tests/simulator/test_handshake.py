from typing import Any

import pytest

from gwsimulator.faults import Refused
from support.sim_rig import Rig

MEMBERS_INTENT = 1 << 1


@pytest.mark.parametrize(
    ("fields", "code", "rule"),
    [
        ({"token": ""}, 4004, "bad_token"),
        ({"token": None}, 4004, "bad_token"),
        ({"intents": ...}, 4013, "missing_intents"),
        ({"intents": "513"}, 4013, "invalid_intents"),
        ({"intents": 1 << 17}, 4013, "invalid_intents"),
        ({"intents": -1}, 4013, "invalid_intents"),
        ({"intents": 1 | MEMBERS_INTENT}, 4014, "disallowed_intents"),
        ({"shard": [2, 2]}, 4010, "invalid_shard"),
        ({"shard": [-1, 2]}, 4010, "invalid_shard"),
        ({"shard": [0]}, 4010, "invalid_shard"),
        ({"shard": ["0", "2"]}, 4010, "invalid_shard"),
        ({"shard": [0, 3]}, 4010, "shard_multiple"),
        ({"properties": ...}, 4001, "missing_properties"),
        ({"presence": {"status": "idle"}}, 4001, "bad_presence"),
    ],
)
def test_a_wrong_identify_gets_the_close_code_that_discord_has_for_it(
    fields: dict[str, Any], code: int, rule: str
) -> None:
    rig = Rig(disallowed_intents=MEMBERS_INTENT, shard_multiple=2)
    link = rig.dial()
    rig.identify(link, **fields)
    assert rig.ended == {link: code}
    assert rig.rules_broken() == [rule]
    assert [one.outcome for one in rig.ledger.identifies] == [str(code)]


def test_only_the_configured_token_is_valid_bare_or_after_bot() -> None:
    rig = Rig(token="right", identify_window_s=0.0)
    wrong, bare, prefixed = rig.dial(), rig.dial(), rig.dial()
    rig.identify(wrong, token="other")
    rig.identify(bare, token="right")
    rig.identify(prefixed, 1, token="Bot right")
    assert rig.ended == {wrong: 4004}


def test_more_guilds_than_a_shard_may_hold_is_4011() -> None:
    rig = Rig(shards=1, guilds=11, guilds_per_shard_max=10)
    link = rig.dial()
    rig.identify(link, shard=[0, 1])
    assert rig.ended == {link: 4011}


def test_a_large_threshold_out_of_range_is_noted_and_forgiven() -> None:
    rig = Rig()
    link = rig.dial()
    rig.identify(link, large_threshold=251)
    assert rig.ended == {}
    assert rig.rules_broken() == ["large_threshold"]


def test_two_identifies_of_a_key_within_5_s_get_op_9_for_the_second() -> None:
    rig = Rig(shards=4, max_concurrency=2)
    first, other_key, second = rig.dial(), rig.dial(), rig.dial()
    for link in (first, other_key, second):
        rig.take(link)
    assert rig.identify(first, shard=[0, 4])[0]["t"] == "READY"
    assert rig.identify(other_key, shard=[1, 4])[0]["t"] == "READY"
    rig.run_for(4.99)
    assert rig.identify(second, shard=[2, 4]) == [{"t": None, "s": None, "op": 9, "d": False}]
    assert rig.rules_broken() == ["identify_window"]


def test_5_s_later_the_window_is_open_again() -> None:
    rig = Rig()
    rig.go_live(0)
    rig.run_for(5.0)
    rig.go_live(1)
    assert rig.rules_broken() == []


def test_after_a_refused_identify_the_same_socket_may_try_again() -> None:
    rig = Rig(invalid_session_delay_s=2.0)
    rig.go_live(0)
    link = rig.dial()
    rig.take(link)
    assert rig.identify(link, 1) == []
    rig.run_for(2.0)
    assert rig.take(link)[-1]["op"] == 9
    rig.run_for(5.0)
    assert rig.identify(link, 1)[0]["t"] == "READY"


def test_one_identify_over_the_daily_limit_ends_every_session_and_the_token() -> None:
    rig = Rig(shards=3, daily_limit=2, identify_window_s=0.0)
    first, second = rig.go_live(0)[0], rig.go_live(1)[0]
    third = rig.dial()
    rig.identify(third, 0)
    assert rig.ended == {first: 4004, second: 4004, third: 4004}
    assert "daily_limit" in rig.rules_broken()
    later = rig.dial()
    rig.identify(later)
    assert rig.ended[later] == 4004
    assert not rig.gateway.handshake.knows("abc")


def test_with_the_token_end_its_sessions_that_have_no_connection() -> None:
    rig = Rig(daily_limit=1, identify_window_s=0.0)
    rig.lose(rig.go_live(0)[0])
    assert len(rig.gateway.sessions.all()) == 1
    rig.identify(rig.dial(), 1)
    assert rig.gateway.sessions.all() == []


def test_refused_identifies_count_against_the_day_too() -> None:
    rig = Rig(daily_limit=10)
    for _ in range(3):
        rig.identify(rig.dial())
    assert rig.gateway.handshake.daily.remaining(rig.now) == 7
    assert rig.gateway.handshake.daily.reset_after_ms(rig.now) == 86_400_000


def test_ready_can_be_late_and_a_client_that_left_meanwhile_has_no_session() -> None:
    rig = Rig(ready_delay_s=10.0, identify_window_s=0.0)
    stays, leaves = rig.dial(), rig.dial()
    rig.take(stays)
    assert rig.identify(stays, 0) == []
    rig.identify(leaves, 1)
    rig.lose(leaves)
    rig.run_for(10.0)
    assert rig.take(stays)[0]["t"] == "READY"
    assert len(rig.gateway.sessions.all()) == 1


def test_a_second_identify_for_a_shard_that_is_attached_is_noted() -> None:
    rig = Rig(identify_window_s=0.0)
    rig.go_live(0)
    rig.go_live(0)
    assert rig.rules_broken() == ["shard_attached_twice"]


def test_identifies_can_be_made_to_fail_one_by_one() -> None:
    rig = Rig(identify_window_s=0.0)
    rig.faults.identifies.add(Refused(4014), Refused("op9"), Refused("silent"), Refused("abort"))
    links = [rig.dial() for _ in range(5)]
    for link in links:
        rig.take(link)
    answers = [[one["op"] for one in rig.identify(link)][:1] for link in links]
    assert answers == [[], [9], [], [], [0]]
    assert rig.ended == {links[0]: 4014, links[3]: None}
    assert [one.outcome for one in rig.ledger.identifies] == ["4014", "op9", "silent", "abort", "ready"]


@pytest.mark.parametrize(("setting", "left"), [("all", 6), ("successes", 9)])
def test_identifies_count_whatever_they_led_to_or_only_with_ready(setting: str, left: int) -> None:
    rig = Rig(daily_limit=10, identifies_counted=setting)
    rig.go_live()  # ready
    rig.identify(rig.dial())  # op 9: too soon
    rig.identify(rig.dial(), intents=...)  # 4013
    rig.identify(rig.dial(), shard=[3, 2])  # 4010
    assert rig.gateway.handshake.daily.remaining(rig.now) == left


@pytest.mark.parametrize("setting", ["all", "successes"])
def test_one_over_the_limit_revokes_the_token_however_they_are_counted(setting: str) -> None:
    rig = Rig(daily_limit=1, identifies_counted=setting)
    first, _ = rig.go_live()
    rig.run_for(5.0)
    second = rig.dial()
    rig.identify(second, 1)
    assert rig.ended == {first: 4004, second: 4004}
    assert rig.rules_broken() == ["daily_limit"]
    assert not rig.gateway.handshake.knows("abc")


def test_sessions_of_another_token_outlive_the_end_of_this_one() -> None:
    rig = Rig(daily_limit=2, identify_window_s=0.0)
    other = rig.dial()
    rig.identify(other, token="other")
    rig.go_live(1)
    rig.identify(rig.dial())
    assert other not in rig.ended
    assert [session.token for session in rig.gateway.sessions.all()] == ["other"]


@pytest.mark.parametrize(("setting", "left"), [("fixed", 10), ("sliding", 9)])
def test_a_day_ends_for_all_identifies_at_once_or_for_each(setting: str, left: int) -> None:
    rig = Rig(daily_limit=10, daily_window=setting)
    rig.identify(rig.dial())
    rig.run_for(50_000.0)
    rig.identify(rig.dial())
    rig.run_for(36_400.0)
    assert rig.gateway.handshake.daily.remaining(rig.now) == left


def test_without_intents_there_is_another_hello_and_then_nothing() -> None:
    # https://github.com/discord/discord-api-docs/issues/4247
    rig = Rig(missing_intents="second_hello")
    link = rig.dial()
    rig.take(link)
    assert [one["op"] for one in rig.identify(link, intents=...)] == [10]
    assert rig.rules_broken() == ["missing_intents"]
    rig.run_for(30.0)
    assert [one["op"] for one in rig.send(link, 1)] == [11]
    assert rig.ended == {}


@pytest.mark.parametrize("code", [4001, 4002])
def test_missing_properties_have_the_code_of_the_settings(code: int) -> None:
    rig = Rig(missing_properties_code=code)
    link = rig.dial()
    rig.identify(link, properties=...)
    assert rig.ended == {link: code}


@pytest.mark.parametrize("threshold", [49, 251, "100", True])
def test_a_large_threshold_out_of_range_may_be_4001(threshold: object) -> None:
    rig = Rig(bad_large_threshold="close")
    link = rig.dial()
    rig.identify(link, large_threshold=threshold)
    assert rig.ended == {link: 4001}


@pytest.mark.parametrize("setting", ["clamp", "close"])
@pytest.mark.parametrize("threshold", [50, 250])
def test_a_large_threshold_within_range_is_none_of_that(setting: str, threshold: int) -> None:
    rig = Rig(bad_large_threshold=setting)
    rig.identify(rig.dial(), large_threshold=threshold)
    assert rig.rules_broken() == []


@pytest.mark.parametrize(("origin", "op"), [("attempt", 9), ("accept", 0), ("ready", 0)])
def test_a_refused_identify_opens_a_window_or_does_not(origin: str, op: int) -> None:
    rig = Rig(identify_window_from=origin)
    rig.go_live(0)
    rig.run_for(3.0)
    rig.identify(rig.dial(), 1)  # too soon
    rig.run_for(3.0)
    link = rig.dial()
    rig.take(link)
    assert rig.identify(link, 1)[0]["op"] == op


@pytest.mark.parametrize(
    ("origin", "broken"), [("attempt", []), ("accept", []), ("ready", ["identify_window"])]
)
def test_a_window_opens_with_identify_or_with_its_ready(origin: str, broken: list[str]) -> None:
    rig = Rig(identify_window_from=origin, ready_delay_s=4.0)
    rig.identify(rig.dial(), 0)
    rig.run_for(6.0)
    link = rig.dial()
    rig.take(link)
    rig.identify(link, 1)
    assert rig.rules_broken() == broken


@pytest.mark.parametrize(("enforced", "broken"), [(False, []), (True, ["bucket_order"])])
def test_a_shard_before_its_bucket_is_refused_or_not(enforced: bool, broken: list[str]) -> None:
    rig = Rig(shards=4, max_concurrency=2, bucket_order=enforced, identify_window_s=0.0)
    answers = []
    for shard in (0, 2, 1, 2):
        link = rig.dial()
        rig.take(link)
        answers.append(rig.identify(link, shard=[shard, 4])[0]["op"])
        rig.lose(link)
    assert answers == [0, 9 if enforced else 0, 0, 0]
    assert rig.rules_broken() == broken


def test_a_wrong_token_goes_before_a_second_identify_and_that_before_its_fields() -> None:
    rig = Rig(token="abc", identify_window_s=0.0)
    links = [rig.go_live(shard)[0] for shard in (0, 1)]
    rig.identify(links[0], token="wrong", intents=...)
    rig.identify(links[1], 1, intents=...)
    assert rig.ended == {links[0]: 4004, links[1]: 4005}


def test_fields_are_judged_in_an_order_of_their_own() -> None:
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"intents": "x"}, 4013),
        ({"intents": MEMBERS_INTENT}, 4014),
        ({"shard": [2, 1]}, 4010),
        ({"shard": [0, 1]}, 4011),
        ({"properties": ...}, 4002),
        ({"large_threshold": 1}, 4001),
    ]
    fields: dict[str, Any] = {}
    for more, code in reversed(wrong):
        fields = {**fields, **more}
        rig = Rig(
            guilds=4,
            guilds_per_shard_max=3,
            disallowed_intents=MEMBERS_INTENT,
            missing_properties_code=4002,
            bad_large_threshold="close",
        )
        link = rig.dial()
        rig.identify(link, **fields)
        assert rig.ended == {link: code}, fields


@pytest.mark.parametrize("delay_s", [0.0, 5.0])
def test_a_refused_identify_gets_its_op_9_at_once_or_late(delay_s: float) -> None:
    rig = Rig(invalid_session_delay_s=delay_s)
    rig.go_live()
    link = rig.dial()
    rig.take(link)
    got = rig.identify(link, 1)
    assert len(got) == (0 if delay_s else 1)
    rig.run_for(delay_s * 0.99)
    assert rig.take(link) == []
    rig.run_for(delay_s * 0.01)
    assert [one["op"] for one in got + rig.take(link)] == [9]


def test_what_a_refused_identify_asked_for_is_in_the_ledger() -> None:
    rig = Rig()
    link = rig.dial()
    rig.identify(link, shard=[7, 2])
    assert [(one.shard, one.shards, one.outcome) for one in rig.ledger.identifies] == [(7, 2, "4010")]
    assert rig.ledger.closes[0].shard == 7
