import pytest

from gwsimulator.faults import Acks
from support.sim_rig import Rig

HEARTBEAT = 1


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


def test_after_a_beat_the_next_one_has_as_long_as_the_first() -> None:
    rig = Rig(heartbeat_interval_ms=40_000, heartbeat_tolerance=0.25, heartbeat_grace_s=0.0)
    link = rig.dial()
    rig.run_for(30.0)
    rig.send(link, HEARTBEAT)
    rig.run_for(49.9)
    assert rig.ended == {}
    rig.run_for(25.2)  # it looks again within a quarter of its patience
    assert rig.ended == {link: 4000}


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


@pytest.mark.parametrize("code", [1000, 4000, 4009, None])
def test_a_late_beat_ends_the_connection_as_the_settings_say(code: int | None) -> None:
    rig = Rig(late_beat_code=code)
    link, _ = rig.go_live()
    rig.run_for(52.0)
    assert rig.ended == {link: code}
    assert rig.rules_broken() == ["late_heartbeat"]


@pytest.mark.parametrize(("tolerance", "patience_s"), [(0.1, 44.0), (0.5, 60.0)])
def test_patience_is_interval_and_tolerance(tolerance: float, patience_s: float) -> None:
    rig = Rig(heartbeat_interval_ms=40_000, heartbeat_tolerance=tolerance, heartbeat_grace_s=0.0)
    link, _ = rig.go_live()
    rig.run_for(patience_s - 0.1)
    assert rig.ended == {}
    rig.run_for(0.2)
    assert rig.ended == {link: 4000}


def test_a_beat_knows_its_session() -> None:
    rig = Rig()
    link, session = rig.go_live()
    rig.send(link, HEARTBEAT, 3)
    other = rig.dial()
    rig.send(other, HEARTBEAT)
    assert [one.session for one in rig.ledger.beats] == [session, None]
