import pytest

from gwsimulator.faults import Acks
from support.sim_rig import Rig


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


@pytest.mark.parametrize("code", [1000, 4001, 4002, 4005, 4008, 4009])
def test_codes_of_which_nobody_knows_may_end_the_session_or_not(code: int) -> None:
    for ending, outcome in [(frozenset[int](), "resumed"), (frozenset({code}), "op9")]:
        rig = Rig(ending_codes=ending)
        _, session = rig.go_live()
        rig.perform(rig.gateway.links.hang_up(rig.gateway.links.of_shard(0)[0], code, "", rig.now))
        rig.resume(rig.dial("resume"), session, 3)
        assert [one.outcome for one in rig.ledger.resumes] == [outcome]


def test_messages_that_are_no_dispatches_may_leave_out_what_is_null() -> None:
    for terse, keys in [(False, {"t", "s", "op", "d"}), (True, {"op"})]:
        rig = Rig(terse=terse, reconnect_close_after_s=60.0)
        link = rig.dial()
        (hello,) = rig.take(link)
        assert set(hello) == keys | {"d"}
        assert hello["d"]["heartbeat_interval"] == 41_250
        rig.identify(link)
        (ack,) = rig.send(link, 1, 1)
        assert (set(ack), ack["op"]) == (keys, 11)
        holder = rig.gateway.links.of_shard(0)[0]
        rig.perform(rig.gateway.links.ask_to_reconnect(holder, rig.now))
        rig.perform(rig.gateway.links.invalidate(holder, rig.now, resumable=False))
        op7, op9 = rig.take(link)
        assert (set(op7), op7["op"]) == (keys, 7)
        assert (set(op9), op9["op"], op9["d"]) == (keys | {"d"}, 9, False)


def test_a_connection_without_acks_that_still_gets_events_is_left_alone() -> None:
    rig = Rig(heartbeat_interval_ms=10_000)
    link, _ = rig.go_live()
    rig.faults.acks[0] = Acks(None)
    for _ in range(30):
        rig.run_for(10.0)
        rig.happen()
        assert [one["op"] for one in rig.take(link)] == [0]
        rig.send(link, 1, 3)
    assert rig.ended == {}
