import json

import pytest

from support.sim_rig import Rig

HEARTBEAT, IDENTIFY, PRESENCE, RESUME = 1, 2, 3, 6
IDLE: dict[str, object] = {"since": None, "activities": [], "status": "idle", "afk": False}


def test_a_connection_is_greeted_with_the_interval() -> None:
    rig = Rig()
    (hello,) = rig.take(rig.dial())
    assert hello["op"] == 10
    assert hello["d"]["heartbeat_interval"] == 41_250


def test_4096_bytes_pass_and_one_more_is_4002() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    frame = json.dumps({"op": HEARTBEAT, "d": None}).encode()
    rig.send_raw(link, frame + b" " * (4096 - len(frame)))
    assert rig.ended == {}
    rig.send_raw(link, frame + b" " * (4097 - len(frame)))
    assert rig.ended == {link: 4002}
    assert rig.rules_broken() == ["too_large"]


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[1]", b'{"d":1}', b'{"op":"1"}', b'{"op":true}'])
def test_what_is_no_object_with_an_integer_op_is_4002(data: bytes) -> None:
    rig = Rig()
    link = rig.dial()
    rig.send_raw(link, data)
    assert rig.ended == {link: 4002}
    assert rig.rules_broken() == ["undecodable"]


def test_120_messages_in_60_s_pass_and_one_more_is_4008_heartbeats_included() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    for _ in range(119):  # the IDENTIFY was the first
        rig.send(link, HEARTBEAT, 1)
    assert rig.ended == {}
    rig.run_for(50.0)
    rig.send(link, HEARTBEAT, 1)
    assert rig.ended == {link: 4008}
    assert rig.rules_broken() == ["send_rate"]


def test_the_60_s_slide() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    for _ in range(4 * 119):
        rig.run_for(0.505)
        rig.send(link, HEARTBEAT, 1)
    assert rig.ended == {}


def test_an_unknown_opcode_is_4001() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    rig.send(link, 99)
    assert rig.ended == {link: 4001}


def test_a_command_before_ready_is_4003() -> None:
    rig = Rig()
    link = rig.dial()
    rig.send(link, PRESENCE, IDLE)
    assert rig.ended == {link: 4003}


def test_a_command_after_op_9_is_4003() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    rig.perform(rig.gateway.links.invalidate(rig.gateway.links.of_shard(0)[0], rig.now, resumable=True))
    rig.send(link, PRESENCE, IDLE)
    assert rig.ended == {link: 4003}


@pytest.mark.parametrize("op", [IDENTIFY, RESUME])
def test_a_second_identify_or_resume_is_4005(op: int) -> None:
    rig = Rig()
    link, _ = rig.go_live()
    rig.send(link, op, {"token": "abc"})
    assert rig.ended == {link: 4005}


def test_a_command_is_recorded() -> None:
    rig = Rig()
    link, _ = rig.go_live(1)
    rig.send(link, PRESENCE, IDLE)
    assert [(one.shard, one.op, one.data) for one in rig.ledger.commands] == [(1, 3, IDLE)]
    assert rig.ended == {}


def test_a_command_without_its_fields_is_4001() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    rig.send(link, PRESENCE, {"status": "idle"})
    assert rig.ended == {link: 4001}


def test_another_version_is_4012() -> None:
    rig = Rig()
    link = rig.dial(v="6", encoding="json")
    assert rig.ended == {link: 4012}


def test_an_encoding_other_than_json_is_4000() -> None:
    rig = Rig()
    link = rig.dial(v="10", encoding="etf")
    assert (rig.ended, rig.rules_broken()) == ({link: 4000}, ["unknown_encoding"])


def test_a_resume_url_without_its_query_is_a_violation_that_the_wire_does_not_show() -> None:
    rig = Rig()
    link = rig.dial("resume", compress="zlib-stream")
    assert rig.take(link)[0]["op"] == 10
    assert rig.rules_broken() == ["resume_url_without_query"] * 2


def test_a_compression_that_is_not_offered_is_a_violation() -> None:
    rig = Rig()
    rig.dial(v="10", encoding="json", compress="br")
    assert rig.rules_broken() == ["unknown_compression"]


def test_op_7_is_followed_by_a_close_1001() -> None:
    rig = Rig(reconnect_close_after_s=3.0)
    link, _ = rig.go_live()
    rig.perform(rig.gateway.links.ask_to_reconnect(rig.gateway.links.of_shard(0)[0], rig.now))
    assert rig.take(link)[-1]["op"] == 7
    rig.run_for(2.9)
    assert rig.ended == {}
    rig.run_for(0.2)
    assert rig.ended == {link: 1001}


def test_scripted_greetings_each_meet_one_connection() -> None:
    rig = Rig()
    rig.faults.greetings.add("silent", "op7", "bad_interval", "second_hello")
    ops = [[message["op"] for message in rig.take(rig.dial())] for _ in range(5)]
    assert ops == [[], [7], [10], [10, 10], [10]]


def test_15_kib_pass_where_the_settings_say_so() -> None:
    rig = Rig(max_payload_bytes=15_360)
    link, _ = rig.go_live()
    frame = json.dumps({"op": HEARTBEAT, "d": None}).encode()
    rig.send_raw(link, frame + b" " * (15_360 - len(frame)))
    assert rig.ended == {}
    rig.send_raw(link, frame + b" " * (15_361 - len(frame)))
    assert rig.ended == {link: 4002}


@pytest.mark.parametrize(("setting", "ended"), [("ignore", []), ("close", [4000])])
def test_an_unknown_compression_is_taken_as_none_or_closed(setting: str, ended: list[int]) -> None:
    rig = Rig(unknown_compression=setting)
    link = rig.dial(v="10", encoding="json", compress="br")
    assert [one["op"] for one in rig.take(link)] == ([] if ended else [10])
    assert list(rig.ended.values()) == ended
    assert rig.rules_broken() == ["unknown_compression"]


def test_a_gateway_url_without_its_query_is_a_violation_too() -> None:
    rig = Rig()
    rig.dial(compress="zlib-stream")
    assert rig.rules_broken() == ["url_without_query"] * 2


def test_a_message_is_judged_by_size_then_json_then_rate_then_op_then_fields_then_state() -> None:
    too_many_and = [
        (b'{"op":1,"d":' + b" " * 4096, 4002, "too_large"),
        (b"{", 4002, "undecodable"),
        (b'{"op":99}', 4008, "send_rate"),
    ]
    for data, code, rule in too_many_and:
        rig = Rig(send_limit=1)
        link, _ = rig.go_live()
        rig.send_raw(link, data)
        assert (rig.ended, rig.rules_broken()) == ({link: code}, [rule])
    for data, code, rule in [
        (b'{"op":99}', 4001, "unknown_opcode"),
        (b'{"op":3,"d":{}}', 4001, "bad_payload"),
        (b'{"op":2,"d":null}', 4001, "bad_payload"),
        (b'{"op":6,"d":{}}', 4001, "bad_payload"),
        (json.dumps({"op": 3, "d": IDLE}).encode(), 4003, "not_authenticated"),
    ]:
        rig = Rig()
        link = rig.dial()
        rig.send_raw(link, data)
        assert (rig.ended, rig.rules_broken()) == ({link: code}, [rule])


@pytest.mark.parametrize("op", [IDENTIFY, RESUME])
def test_while_an_identify_is_being_answered_another_is_4005(op: int) -> None:
    rig = Rig(ready_delay_s=10.0)
    link = rig.dial()
    rig.identify(link)
    rig.send(link, op, {"token": "abc"})
    assert rig.ended == {link: 4005}


def test_a_command_before_ready_is_4003_also_while_identify_is_being_answered() -> None:
    rig = Rig(ready_delay_s=10.0)
    link = rig.dial()
    rig.identify(link)
    rig.send(link, PRESENCE, IDLE)
    assert rig.ended == {link: 4003}


@pytest.mark.parametrize("op", [IDENTIFY, RESUME])
def test_after_op_9_the_same_socket_may_identify_or_resume_or_beat(op: int) -> None:
    rig = Rig(identify_window_s=0.0)
    link, session = rig.go_live()
    rig.perform(rig.gateway.links.invalidate(rig.gateway.links.of_shard(0)[0], rig.now, resumable=True))
    rig.take(link)
    assert rig.send(link, HEARTBEAT, 3)[0]["op"] == 11
    got = rig.identify(link) if op == IDENTIFY else rig.resume(link, session, 3)
    assert got[0]["t"] == ("READY" if op == IDENTIFY else "RESUMED")


def test_dials_that_became_no_websocket_are_in_the_ledger() -> None:
    rig = Rig()
    rig.gateway.refused("resume", 503, rig.now)
    assert [(one.host, one.status) for one in rig.ledger.refused] == [("resume", 503)]


def test_every_message_is_in_the_ledger_with_its_size() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    rig.send_raw(link, b'{"op":1}')
    rig.send_raw(link, b"?")
    assert [one.size for one in rig.ledger.frames[1:]] == [8, 1]
