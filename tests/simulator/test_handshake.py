from typing import Any

import pytest

from gwsimulator.faults import Refused
from support.sim_rig import Rig

MEMBERS_INTENT = 1 << 1


def test_ready_comes_first_and_then_one_guild_create_for_each_of_its_stubs() -> None:
    rig = Rig(shards=2, guilds=7)
    link = rig.dial()
    rig.take(link)
    ready, *rest = rig.identify(link, 1)
    assert (ready["t"], ready["s"], ready["op"]) == ("READY", 1, 0)
    assert ready["d"]["shard"] == [1, 2]
    assert ready["d"]["resume_gateway_url"] == "ws://resume.test"
    assert all(stub["unavailable"] for stub in ready["d"]["guilds"])
    assert [one["t"] for one in rest] == ["GUILD_CREATE"] * 3
    assert [one["s"] for one in rest] == [2, 3, 4]
    assert [one["d"]["id"] for one in rest] == [stub["id"] for stub in ready["d"]["guilds"]]
    assert all((int(one["d"]["id"]) >> 22) % 2 == 1 for one in rest)


def test_without_the_guilds_intent_there_are_no_guild_creates() -> None:
    rig = Rig()
    link = rig.dial()
    rig.take(link)
    assert [one["t"] for one in rig.identify(link, intents=512)] == ["READY"]


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


# ---------------------------------------------------------------------- RESUME


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


@pytest.mark.parametrize(("resumable", "outcome"), [(True, "resumed"), (False, "op9")])
def test_op_9_leaves_a_session_only_if_it_says_so(resumable: bool, outcome: str) -> None:
    rig = Rig()
    link, session = rig.go_live()
    rig.perform(rig.gateway.links.invalidate(rig.gateway.links.of_shard(0)[0], rig.now, resumable=resumable))
    assert rig.take(link)[-1] == {"t": None, "s": None, "op": 9, "d": resumable}
    rig.lose(link, 4000)
    rig.resume(rig.dial("resume"), session, 3)
    assert [one.outcome for one in rig.ledger.resumes] == [outcome]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(4000, "resumed"), (4008, "resumed"), (1000, "resumed"), (4009, "op9"), (4007, "op9")],
)
def test_some_codes_of_the_server_end_the_session_and_others_do_not(code: int, outcome: str) -> None:
    rig = Rig()
    _, session = rig.go_live()
    rig.perform(rig.gateway.links.hang_up(rig.gateway.links.of_shard(0)[0], code, "", rig.now))
    rig.resume(rig.dial("resume"), session, 3)
    assert [one.outcome for one in rig.ledger.resumes] == [outcome]
