"""What is said of several hosts: silences, who identified when, and who had which shard."""

from __future__ import annotations

from chaos.findings import Silence, identify_lines, moves, silences
from chaos.notes import Noted, Sent
from gwsimulator.invariants import Tenure
from support.sim_rig import Rig

A, B = "127.0.1.1", "127.0.1.2"


def sent(seq: int, at: float) -> Sent:
    return Sent("MESSAGE_CREATE", 1, seq, 0, at)


def noted(seq: int | None, at: float, shard: int = 0) -> Noted:
    return Noted("MESSAGE_CREATE", shard, "e", seq or 0, 1, seq, 0, at)


def test_the_longest_time_without_anything_new_is_a_silence() -> None:
    truth = {0: [sent(1, 10_000.0), sent(2, 10_001.0), sent(3, 10_001.5), sent(4, 10_009.0)]}
    notes = [noted(1, 10_000.1), noted(2, 10_004.1), noted(3, 10_004.2), noted(4, 10_009.1)]
    found = silences(notes, truth, since=10_000.0)[0]
    assert (round(found.seconds, 3), found.since, round(found.latest_s, 3)) == (4.9, 10_004.2, 3.1)


def test_each_shard_has_a_silence_of_its_own() -> None:
    truth = {0: [sent(1, 10_000.0), sent(2, 10_003.0)], 1: [sent(1, 10_000.0), sent(2, 10_001.0)]}
    notes = [noted(1, 10_000.0), noted(1, 10_000.0, 1), noted(2, 10_001.0, 1), noted(2, 10_003.0)]
    found = silences(notes, truth, since=0.0)
    assert {shard: one.seconds for shard, one in found.items()} == {0: 3.0, 1: 1.0}


def test_what_comes_again_or_is_our_own_notice_ends_no_silence() -> None:
    truth = {0: [sent(1, 10_000.0), sent(2, 10_005.0)]}
    notes = [noted(1, 10_000.0), noted(None, 10_001.0), noted(1, 10_002.0), None, noted(2, 10_005.0)]
    assert silences(notes, truth, since=0.0) == {0: Silence(5.0, 10_000.0, 0.0)}


def test_what_came_while_everything_started_is_left_out() -> None:
    truth = {0: [sent(1, 10_000.0), sent(2, 10_050.0), sent(3, 10_051.0)]}
    notes = [noted(1, 10_000.0), noted(2, 10_050.0), noted(3, 10_051.0)]
    assert silences(notes, truth, since=10_045.0)[0] == Silence(5.0, 10_045.0, 0.0)
    assert silences(notes, truth, since=10_049.5)[0].seconds == 1.0


def test_identifies_are_told_by_host_and_the_closest_two_of_each_key() -> None:
    rig = Rig(shards=4, max_concurrency=2)
    for shard, peer, pause in ((0, A, 6.0), (1, B, 1.0), (2, B, 5.5), (3, A, 0.0)):
        rig.identify(rig.dial(peer=f"{peer}:40001"), shard=[shard, 4])
        rig.run_for(pause)
    assert identify_lines(rig.ledger, 2, {A: "h1", B: "h2"}.__getitem__) == [
        "IDENTIFYs 4: h1 2, h2 2",
        "  key 0: 2, the closest 7.000 s apart, h1 and h2",
        "  key 1: 2, the closest 6.500 s apart, h2 and h1",
    ]


def test_a_move_is_a_connection_from_another_host_than_the_last() -> None:
    def tenure(shard: int, origin: str, began: float) -> Tenure:
        return Tenure(shard, origin, int(began), began, began, began + 1, "RESUME resumed")

    there = [tenure(0, A, 1.0), tenure(1, A, 1.5), tenure(0, A, 2.0), tenure(0, B, 3.0), tenure(0, A, 4.0)]
    found = moves(there)
    assert [one.began for one in found[0]] == [1.0, 3.0, 4.0]
    assert [one.began for one in found[1]] == [1.5]
