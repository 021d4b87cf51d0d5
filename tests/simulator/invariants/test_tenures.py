"""Two machines never have one shard at once: kept by who hands it over, broken here by who doesn't."""

from __future__ import annotations

from gwsimulator.invariants import tenures
from support.sim_rig import Rig

A, B = "127.0.1.1:40001", "127.0.1.2:40002"


def live_on(rig: Rig, peer: str, shard: int = 0) -> tuple[int, str]:
    """Identify from a machine; return connection and session."""
    link = rig.dial(peer=peer)
    rig.take(link)
    return link, rig.identify(link, shard)[0]["d"]["session_id"]


def resumed_on(rig: Rig, peer: str, session: str) -> int:
    link = rig.dial("resume", peer=peer)
    rig.run_for(0.05)
    rig.resume(link, session, 1)
    return link


def i13(rig: Rig, **terms: object) -> list[str]:
    return [said for said in rig.broken(**terms) if said.startswith("I13:")]


def test_a_shard_that_is_let_go_of_before_another_machine_dials_breaks_nothing() -> None:
    rig = Rig()
    link, session = live_on(rig, A)
    rig.run_for(1.0)
    rig.lose(link)
    rig.run_for(0.001)
    resumed_on(rig, B, session)
    assert rig.broken() == []


def test_a_resume_from_another_machine_on_a_held_shard_breaks_i13() -> None:
    rig = Rig()
    link, session = live_on(rig, A)
    rig.run_for(1.0)
    after = resumed_on(rig, B, session)
    (told,) = i13(rig)
    assert told == (
        f"I13: shard 0 was dialled from 127.0.1.2 at 10001.000 (connection {after}) "
        f"while 127.0.1.1 had connection {link} since 10000.000"
    )


def test_dialling_too_early_breaks_i13_though_the_resume_came_after_the_end() -> None:
    rig = Rig()
    link, session = live_on(rig, A)
    rig.run_for(1.0)
    early = rig.dial("resume", peer=B)
    rig.run_for(1.0)
    rig.lose(link)
    rig.resume(early, session, 1)
    assert len(i13(rig)) == 1


def test_an_identify_that_is_refused_is_one_too_many_all_the_same() -> None:
    rig = Rig()
    live_on(rig, A)
    rig.run_for(1.0)
    rig.identify(rig.dial(peer=B))  # too soon after the one before: op 9
    assert len(i13(rig)) == 1


def test_the_first_of_two_that_overlap_a_third_is_remembered() -> None:
    rig = Rig(identify_window_s=0.0)
    live_on(rig, A)
    rig.lose(live_on(rig, B)[0])
    rig.run_for(1.0)
    live_on(rig, B)
    assert len(i13(rig)) == 2


def test_one_machine_may_dial_again_while_its_old_connection_is_open() -> None:
    rig = Rig()
    _, session = live_on(rig, A)
    resumed_on(rig, "127.0.1.1:40009", session)
    assert i13(rig) == []


def test_other_shards_are_other_machines_business() -> None:
    rig = Rig(max_concurrency=2)
    live_on(rig, A, 0)
    live_on(rig, B, 1)
    assert rig.broken() == []


def test_a_connection_whose_client_let_go_unheard_is_no_longer_held() -> None:
    rig = Rig()
    link, session = live_on(rig, A)
    rig.run_for(2.0)
    resumed_on(rig, B, session)
    assert i13(rig, gone={link: 10_001.9}) == []
    assert len(i13(rig, gone={link: 10_002.1})) == 1


def test_what_somebody_tells_of_an_end_does_not_count_after_the_end_that_the_ledger_has() -> None:
    rig = Rig()
    link, session = live_on(rig, A)
    rig.run_for(1.0)
    rig.lose(link)
    rig.run_for(1.0)
    resumed_on(rig, B, session)
    assert i13(rig, gone={link: 10_100.0}) == []


def test_who_is_stopped_cannot_let_go_and_is_not_blamed_for_the_time() -> None:
    rig = Rig()
    _, session = live_on(rig, A)
    rig.run_for(2.0)
    resumed_on(rig, B, session)
    assert i13(rig, away={"127.0.1.1": [(10_001.0, 10_003.0)]}) == []
    assert len(i13(rig, away={"127.0.1.1": [(10_000.0, 10_001.0)]})) == 1
    assert len(i13(rig, away={"127.0.1.2": [(10_001.0, 10_003.0)]})) == 1


def test_the_list_of_tenures_says_who_had_it_from_when_to_when() -> None:
    rig = Rig()
    link, session = live_on(rig, A)
    rig.run_for(1.0)
    rig.lose(link)
    rig.run_for(1.0)
    after = resumed_on(rig, B, session)
    told = [(one.origin, one.link, one.began, one.ended, one.how) for one in tenures(rig.ledger, {})]
    assert told == [
        ("127.0.1.1", link, 10_000.0, 10_001.0, "IDENTIFY ready"),
        ("127.0.1.2", after, 10_002.0, float("inf"), "RESUME resumed"),
    ]
