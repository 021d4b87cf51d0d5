import json

import pytest

from gwsimulator.faults import Acks
from support.sim_rig import Rig

HEARTBEAT, IDENTIFY, PRESENCE, RESUME = 1, 2, 3, 6
IDLE: dict[str, object] = {"since": None, "activities": [], "status": "idle", "afk": False}


def test_a_connection_is_greeted_with_the_interval() -> None:
    rig = Rig()
    (hello,) = rig.take(rig.dial())
    assert hello["op"] == 10
    assert hello["d"]["heartbeat_interval"] == 41_250


def test_a_heartbeat_is_acknowledged_and_recorded_with_its_seq() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    assert rig.send(link, HEARTBEAT, 2) == [{"t": None, "s": None, "op": 11, "d": None}]
    assert [(beat.shard, beat.seq) for beat in rig.ledger.beats] == [(0, 2)]
    assert rig.rules_broken() == []


def test_a_heartbeat_claiming_more_than_was_sent_is_a_violation() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    rig.send(link, HEARTBEAT, 999)
    assert rig.rules_broken() == ["heartbeat_seq"]


def test_a_client_that_does_not_beat_is_closed_after_interval_and_tolerance() -> None:
    rig = Rig(heartbeat_interval_ms=40_000, heartbeat_tolerance=0.25, heartbeat_grace_s=0.0)
    link = rig.dial()
    rig.run_for(49.9)
    assert rig.ended == {}
    rig.run_for(0.2)
    assert rig.ended == {link: 4000}
    assert rig.rules_broken() == ["late_heartbeat"]


def test_a_client_that_beats_in_time_stays_for_a_day() -> None:
    rig = Rig()
    link, _ = rig.go_live()
    for _ in range(2_095):
        rig.run_for(41.25)
        rig.send(link, HEARTBEAT, 1)
    assert rig.ended == {}
    assert rig.rules_broken() == []


def test_withheld_acks_concern_one_shard_only() -> None:
    rig = Rig(identify_window_s=0.0)
    silent, _ = rig.go_live(0)
    other, _ = rig.go_live(1)
    rig.faults.acks[0] = Acks(None)
    assert rig.send(silent, HEARTBEAT, 1) == []
    assert rig.send(other, HEARTBEAT, 1) != []


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


def test_a_stalled_connection_is_not_closed_for_missing_heartbeats() -> None:
    rig = Rig()
    rig.go_live()
    link = rig.gateway.links.of_shard(0)[0]
    rig.perform(rig.gateway.links.stall(link, rig.now, reads=True, writes=True))
    rig.run_for(600.0)
    assert rig.ended == {}
    rig.perform(rig.gateway.links.stall(link, rig.now, reads=False, writes=False))
    rig.run_for(600.0)
    assert rig.ended == {link.id: 4000}
