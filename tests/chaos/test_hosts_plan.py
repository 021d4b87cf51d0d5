"""The plan of what befalls hosts: as many kills as asked for, the same for the same seed, nobody spared."""

from __future__ import annotations

from chaos.hosts_plan import DOWN_S, KILLS, OTHERS, host_steps


def test_the_same_seed_is_the_same_plan_and_another_one_is_another() -> None:
    assert list(host_steps(3, 30, lease_s=6.0)) == list(host_steps(3, 30, lease_s=6.0))
    assert list(host_steps(3, 30, lease_s=6.0)) != list(host_steps(4, 30, lease_s=6.0))


def test_a_plan_has_as_many_kills_as_it_was_asked_for_and_everything_else_on_top() -> None:
    plan = list(host_steps(1, 400, lease_s=6.0))
    assert sum(step.is_kill for step in plan) == 400
    assert {step.what for step in plan} == {*KILLS, *OTHERS}
    assert {step.resets for step in plan} == {False, True}
    assert plan[-1].is_kill


def test_cuts_last_from_less_than_a_lease_to_more_than_one() -> None:
    cuts = [step.lasts_s for step in host_steps(1, 400, lease_s=6.0) if not step.is_kill]
    assert 2.0 <= min(cuts) < 3.0
    assert 15.0 < max(cuts) <= 18.0
    downs = [step.lasts_s for step in host_steps(1, 400, lease_s=6.0) if step.is_kill]
    assert DOWN_S[0] <= min(downs) < max(downs) <= DOWN_S[1]


def test_nothing_is_done_to_servers_where_there_are_none() -> None:
    plan = list(host_steps(1, 400, lease_s=6.0, nats=False))
    assert sum(step.is_kill for step in plan) == 400
    assert {step.what for step in plan} == {
        "kill host",
        "lose host",
        "kill coordinator",
        "kill nursery",
        "kill worker",
        "kill subscriber",
        "cut host from everything",
        "stop host",
    }
