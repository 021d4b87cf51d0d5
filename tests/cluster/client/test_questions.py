"""Whom a question is asked, and whom next."""

from __future__ import annotations

import pytest

from gwcluster.client.asking import Asking, shard_in
from gwcluster.client.host import Host
from gwcluster.client.questions import Questions
from gwcluster.client.roster import Roster

A, B = Host("ipc:///a/events", "ipc:///a/requests"), Host("ipc:///b/events", "ipc:///b/requests")
NOW = 10_000.0


def questions(*hosts: Host, up: tuple[Host, ...]) -> tuple[Questions[str], Roster]:
    roster = Roster(hosts, several=len(hosts) > 1, now=NOW)
    made: Questions[str] = Questions(roster)
    for host in up:
        made.joined(host, NOW)
    return made, roster


def ask(made: Questions[str], shard: int | None = 7) -> list[Host]:
    return [host for host, _ in made.ask(made.number(), "me", shard, b"?", NOW)]


def again(made: Questions[str], now: float) -> list[Host]:
    return [host for host, _ in made.repeats(now)]


def test_a_silent_host_is_given_up_after_two_seconds_and_the_other_asked() -> None:
    made, roster = questions(A, B, up=(A, B))
    roster.speaks(7, A)
    assert ask(made) == [A]
    assert (again(made, NOW + 1.9), made.due) == ([], NOW + 2)
    assert again(made, NOW + 2) == [B]
    assert (again(made, NOW + 3.9), made.due) == ([], NOW + 4)
    assert ask(made) == [B], "who owes an answer isn't asked another question"


def test_when_all_are_silent_each_is_asked_in_turn_with_pauses() -> None:
    made, _ = questions(A, B, up=(A, B))
    ask(made)
    asked = [(second, host) for second in range(40) for host in again(made, NOW + second)]
    assert [second for second, _ in asked] == [2, 4, 8, 16, 18, 22, 30, 32, 36]
    assert [host for _, host in asked[:4]] == [B, A, B, A]


def test_one_host_is_asked_again_ever_less_often_and_at_once_over_a_new_connection() -> None:
    made, _ = questions(A, up=(A,))
    ask(made)
    assert [second for second in range(40) if again(made, NOW + second)] == [2, 6, 14, 29]
    made.lost(A, NOW + 40)
    assert again(made, NOW + 40) == []
    made.joined(A, NOW + 41)
    assert again(made, NOW + 41) == [A]


def test_when_a_host_is_lost_its_questions_go_to_another_at_once() -> None:
    made, roster = questions(A, B, up=(A, B))
    roster.speaks(7, A)
    roster.speaks(8, B)
    assert [*ask(made), *ask(made, 8)] == [A, B]
    made.lost(A, NOW + 0.1)
    assert again(made, NOW + 0.1) == [B]


def test_who_was_asked_without_a_connection_is_not_waited_for_once_another_has_one() -> None:
    made, roster = questions(A, B, up=())
    roster.speaks(7, A)
    assert ask(made) == [A]
    made.joined(B, NOW + 0.1)
    assert again(made, NOW + 0.1) == [B]
    assert roster.is_well(A, NOW + 0.1), "it owes nothing yet"


def test_a_question_for_which_nobody_is_known_waits_for_somebody() -> None:
    made, roster = questions(up=())
    assert ask(made) == []
    roster.told([], NOW)
    assert again(made, NOW + 2) == []
    late, _ = questions(A, up=())
    assert ask(late) == [A]


def test_what_is_answered_is_not_asked_again_nor_known_any_more() -> None:
    made, _ = questions(A, up=(A,))
    number = made.number()
    list(made.ask(number, "me", 7, b"?", NOW))
    assert (made.whose(number), len(made)) == (("me",), 1)
    made.done(number)
    assert (made.whose(number), len(made), made.due) == (None, 0, None)
    assert made.whose("x") is None
    assert again(made, NOW + 60) == []


# Of requests


def test_a_command_is_asked_once_whatever_happens() -> None:
    roster = Roster([A, B], several=True, now=NOW)
    roster.speaks(7, B)
    asking = Asking("send", {"shard": 7}, roster)
    assert asking.turn({A, B}, NOW) == B
    assert asking.turn({A, B}, NOW + 60) is None
    assert not asking.lost(A)
    assert asking.lost(B)


def test_a_status_is_asked_of_the_next_host_after_two_seconds_or_a_hang_up() -> None:
    roster = Roster([A, B], several=True, now=NOW)
    asking = Asking("status", {}, roster)
    first = asking.turn({A, B}, NOW)
    assert first is not None
    assert asking.turn({A, B}, NOW + 1.9) is None
    second = asking.turn({A, B}, NOW + 2)
    assert {first, second} == {A, B}
    assert second is not None
    assert not asking.lost(second)
    assert asking.turn({first}, NOW + 2) == first


def test_of_several_hosts_only_one_that_is_connected_is_asked_a_single_one_also_before() -> None:
    asking = Asking("send", {}, Roster([A, B], several=True, now=NOW))
    assert asking.turn(set(), NOW) is None
    assert asking.turn({B}, NOW) == B
    assert Asking("send", {}, Roster([A], several=False, now=NOW)).turn(set(), NOW) == A
    assert Asking("send", {}, Roster([A], several=True, now=NOW)).turn(set(), NOW) is None


@pytest.mark.parametrize(
    ("fields", "count", "shard"),
    [
        ({"shard": 3}, None, 3),
        ({"guild_id": str(5 << 22)}, 4, 1),
        ({"guild_id": str(5 << 22)}, None, None),
        ({"guild_id": "x"}, 4, None),
        ({"guild_id": "9" * 30}, 4, None),
        ({}, 4, None),
    ],
)
def test_a_request_is_about_a_shard(fields: dict[str, object], count: int | None, shard: int | None) -> None:
    assert shard_in(fields, count) == shard
