from __future__ import annotations

import json
from typing import Any

import pytest

from gwcluster.wire.control import Command, CommandDone
from gwworker.all_members import Objection
from gwworker.commands import Commands, Write
from gwworker.ratelimit import SendBudget

START = 10_000.0


class Rig:
    """A shard's commands on a socket that takes everything at once, unless told otherwise."""

    def __init__(self) -> None:
        self.now = START
        self.budget = SendBudget()
        self.budget.start()
        self.budget.adopt(41.25)
        self.commands = Commands(self.budget, intents=2)
        self.clogged = False
        self.wrote: list[tuple[float, Any]] = []
        self.answers: dict[int, CommandDone] = {}

    def live(self) -> Rig:
        """Let READY have come."""
        self.commands.opened()
        return self.settle()

    def offer(self, id_: int, op: int, ttl_s: float | None = None, **d: Any) -> None:
        self._answered(self.commands.offer(Command(id_, op, d, ttl_s), self.now))
        self.settle()

    def sounds(self, id_: int, ttl_s: float | None = None) -> None:
        """Ask for a guild's sounds: a command that no rule of its own holds up."""
        self.offer(id_, 31, ttl_s, guild_ids=[str(id_)])

    def everybody(self, id_: int, guild: str, nonce: str = "n") -> None:
        self.offer(id_, 8, guild_id=guild, query="", limit=0, nonce=nonce)

    def settle(self) -> Rig:
        while effects := self.commands.step(self.now):
            for effect in effects:
                if isinstance(effect, Write):
                    self.wrote.append((self.now, json.loads(effect.payload)))
                    if not self.clogged:
                        self._answered(self.commands.taken(self.now))
                else:
                    self._answered([effect])
        return self

    def run_for(self, seconds: float) -> Rig:
        end = self.now + seconds
        while (due := self.commands.due(self.now)) is not None and due <= end:
            assert due > self.now, "it would spin"
            self.now = due
            self.settle()
        self.now = end
        return self

    def shut(self, code: int | None = None) -> None:
        self._answered(self.commands.shut(self.now, code))
        self.settle()

    def objection(self, guild: str, nonce: str | None, retry_after_s: float) -> None:
        said = Objection(guild, nonce, retry_after_s)
        self._answered(self.commands.rate_limited(said, self.now))
        self.settle()

    def code(self, id_: int) -> str | None:
        return self.answers[id_].code

    def _answered(self, answers: list[CommandDone]) -> None:
        for answer in answers:
            assert answer.id not in self.answers, "answered twice"
            self.answers[answer.id] = answer


def test_a_command_is_written_and_its_caller_told_when() -> None:
    rig = Rig().live()
    rig.offer(1, 4, guild_id=41, channel_id=None, self_mute=False, self_deaf=False)
    voice = {"guild_id": "41", "channel_id": None, "self_mute": False, "self_deaf": False}
    assert rig.wrote == [(START, {"op": 4, "d": voice})]
    assert rig.answers == {1: CommandDone(1, None, "written", None, START)}
    assert rig.commands.due(START) is None


def test_a_wrong_command_is_refused_at_once_even_without_a_connection() -> None:
    rig = Rig()
    rig.offer(1, 4, guild_id="41")
    rig.offer(2, 2)
    rig.offer(3, 3, activities=[{"name": "x" * 5000, "type": 0}])
    assert [rig.code(id_) for id_ in (1, 2, 3)] == ["bad_request", "forbidden_opcode", "too_large"]
    assert rig.commands.due(START) is None


# The gate


def test_before_ready_commands_wait_and_then_leave_in_their_order() -> None:
    # 4003: "You sent us a payload prior to identifying, or this session has been invalidated."
    # https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
    # Anything but a heartbeat before READY ends the connection with 4003.
    rig = Rig()
    for id_ in (1, 2, 3):
        rig.sounds(id_)
    rig.run_for(20.0)
    assert rig.wrote == []
    rig.live()
    assert [said["d"]["guild_ids"] for _, said in rig.wrote] == [["1"], ["2"], ["3"]]


def test_what_waits_too_long_without_a_connection_is_not_ready() -> None:
    rig = Rig()
    rig.sounds(1)
    rig.sounds(2, ttl_s=5.0)
    rig.sounds(3, ttl_s=120.0)
    rig.offer(4, 3, status="idle")
    rig.run_for(4.9)
    assert rig.answers == {}
    rig.run_for(25.0)
    assert list(rig.answers) == [2]
    rig.run_for(0.1)
    assert list(rig.answers) == [2, 1]
    rig.run_for(30.0)
    assert list(rig.answers) == [2, 1, 4]
    rig.run_for(60.0)
    assert {rig.code(id_) for id_ in (1, 2, 3, 4)} == {"not_ready"}
    rig.live()
    assert rig.wrote == []


def test_nothing_leaves_through_a_gate_that_is_shut() -> None:
    rig = Rig().live()
    rig.shut()
    rig.sounds(1)
    assert rig.wrote == []
    rig.live()
    assert rig.code(1) is None


# Ends of a connection


def test_what_the_socket_had_not_taken_is_lost_with_the_connection_and_never_sent_again() -> None:
    rig = Rig().live()
    rig.clogged = True
    rig.sounds(1)
    rig.sounds(2)
    assert len(rig.wrote) == 1  # the next waits until the socket took the first
    assert rig.answers == {}
    rig.shut(4002)
    assert rig.code(1) == "not_ready"
    assert "not sent again" in rig.answers[1].message
    rig.clogged = False
    rig.budget.start()
    rig.budget.adopt(41.25)
    rig.live()
    assert [said["d"]["guild_ids"] for _, said in rig.wrote] == [["1"], ["2"]]
    assert rig.code(2) is None


@pytest.mark.parametrize("code", [4001, 4002, 4008, 1006])
def test_what_was_written_before_a_close_is_not_sent_again(code: int) -> None:
    # 4001: "You sent an invalid Gateway opcode or an invalid payload for an opcode. Don't do that!"
    # 4002: "You sent an invalid payload to Discord. Don't do that!"
    # https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
    rig = Rig().live()
    rig.sounds(1)
    rig.offer(2, 3, status="idle")
    rig.shut(code)
    rig.run_for(10.0).live()
    assert len(rig.wrote) == 2


def test_a_socket_that_takes_nothing_lets_nothing_more_out_and_what_waits_is_told_so() -> None:
    rig = Rig().live()
    rig.clogged = True
    rig.sounds(1)
    rig.sounds(2)
    rig.run_for(30.0)
    assert rig.code(2) == "not_ready"
    assert 1 not in rig.answers  # it can't be taken back, so what became of it isn't known yet
    rig._answered(rig.commands.taken(rig.now))
    assert rig.answers[1].written_at == START + 30.0


def test_after_4008_half_the_budget_is_left_on_the_next_connection_too() -> None:
    rig = Rig().live()
    rig.shut()
    rig.shut(4008)
    rig.budget.start()
    rig.budget.adopt(41.25)
    rig.live()
    for id_ in range(1, 131):
        rig.sounds(id_)
    assert len(rig.wrote) == 54


def test_on_the_next_connection_the_handshake_comes_first_and_stale_commands_never() -> None:
    rig = Rig()
    for id_ in range(1, 501):
        rig.sounds(id_, ttl_s=10.0 if id_ <= 300 else 100.0)
    rig.run_for(20.0)
    assert {rig.code(id_) for id_ in range(1, 301)} == {"not_ready"}
    rig.budget.start()
    rig.budget.adopt(41.25)
    rig.budget.note(rig.now)  # RESUME
    rig.live()
    assert len(rig.wrote) == 114
    assert rig.wrote[0][1]["d"]["guild_ids"] == ["301"]
    rig.run_for(61.0)
    assert len(rig.wrote) == 200
    assert rig.wrote[114][0] == START + 81.0


# Budget and bounds


def test_more_commands_than_there_is_room_for_in_a_minute_wait_for_the_next() -> None:
    rig = Rig().live()
    for id_ in range(1, 131):
        rig.sounds(id_, ttl_s=90.0)
    assert len(rig.wrote) == 114
    rig.run_for(61.0)
    assert [at for at, _ in rig.wrote[114:]] == [START + 61.0] * 16


def test_a_command_for_which_there_is_no_room_in_time_is_rate_limited() -> None:
    rig = Rig().live()
    for id_ in range(1, 116):
        rig.sounds(id_)
    rig.run_for(30.0)
    assert rig.code(115) == "rate_limited"
    assert rig.answers[115].retry_after_s == 31.0


def test_a_thousand_commands_wait_and_no_more() -> None:
    rig = Rig().live()
    for id_ in range(1, 1_116):
        rig.sounds(id_, ttl_s=200.0)
    assert rig.code(1_115) == "rate_limited"
    assert rig.answers[1_115].retry_after_s == 61.0
    assert len(rig.answers) == 115


def test_a_full_queue_without_a_connection_says_when_the_first_gives_up() -> None:
    rig = Rig()
    for id_ in range(1, 1_002):
        rig.sounds(id_, ttl_s=200.0 if id_ > 1 else 12.0)
    assert rig.code(1_001) == "rate_limited"
    assert rig.answers[1_001].retry_after_s == 12.0


def test_a_presence_needs_no_room_in_a_full_queue() -> None:
    rig = Rig()
    for id_ in range(1, 1_001):
        rig.sounds(id_)
    rig.offer(1_001, 3, status="idle")
    assert 1_001 not in rig.answers


# Presences


def test_200_presences_in_10_s_become_few_and_the_last_one_wins() -> None:
    # "Clients may only update their game status 5 times per 20 seconds", until 2022; no number since.
    rig = Rig().live()
    for id_ in range(200):
        rig.offer(id_, 3, activities=[{"name": str(id_), "type": 0}])
        rig.run_for(0.05)
    rig.run_for(4.0)
    assert [round(at - START, 1) for at, _ in rig.wrote] == [0.0, 4.2, 8.4, 12.6]
    assert [said["d"]["activities"][0]["name"] for _, said in rig.wrote][-1] == "199"
    assert len(rig.answers) == 200
    assert all(answer.code is None for answer in rig.answers.values())
    written = [answer for answer in rig.answers.values() if answer.written_at is not None]
    assert [answer.id for answer in written][-1] == 199
    assert len(written) == 4
    assert rig.answers[1].message == "accepted; a later presence took its place before it was sent"


def test_presences_are_spaced_across_connections_and_hold_nobody_up() -> None:
    rig = Rig().live()
    rig.offer(1, 3, status="idle")
    rig.shut()
    rig.run_for(1.0)
    rig.budget.start()
    rig.budget.adopt(41.25)
    rig.live()
    rig.offer(2, 3, status="dnd")
    rig.sounds(3)
    assert [said["op"] for _, said in rig.wrote] == [3, 31]
    rig.run_for(3.2)
    assert rig.wrote[2] == (
        START + 4.2,
        {"op": 3, "d": {"since": None, "activities": [], "status": "dnd", "afk": False}},
    )


# All members of a guild


def test_all_members_of_a_guild_are_asked_for_once_in_30_s() -> None:
    # "1 request per guild per bot every 30 seconds": https://docs.discord.com/developers/change-log
    rig = Rig().live()
    rig.everybody(1, "41")
    rig.run_for(10.0)
    rig.everybody(2, "41")
    rig.everybody(3, "42")
    rig.offer(4, 8, guild_id="41", query="a", limit=10)
    rig.offer(5, 8, guild_id="41", user_ids=["1"])
    assert (rig.code(2), rig.answers[2].retry_after_s) == ("rate_limited", 20.0)
    rig.run_for(20.0)
    rig.everybody(6, "41")
    rig.run_for(2.0)
    assert [rig.code(id_) for id_ in (1, 3, 4, 5, 6)] == [None] * 5
    assert len(rig.wrote) == 5


def test_a_request_for_all_members_is_taken_once_discord_had_a_second_to_object() -> None:
    rig = Rig().live()
    rig.everybody(1, "41")
    assert rig.answers == {}
    rig.run_for(1.0)
    assert rig.answers[1] == CommandDone(1, None, "written", None, START)


def test_rate_limited_is_the_answer_to_its_caller_and_holds_up_no_other_guild() -> None:
    rig = Rig().live()
    rig.everybody(1, "41", nonce="a")
    rig.everybody(2, "42")
    rig.run_for(0.2)
    rig.objection("41", "a", 17.25)
    assert (rig.code(1), rig.answers[1].retry_after_s) == ("rate_limited", 17.25)
    rig.everybody(3, "43")
    rig.everybody(4, "41")
    assert (rig.code(4), rig.answers[4].retry_after_s) == ("rate_limited", 17.25)
    rig.run_for(17.25)
    rig.everybody(5, "41")
    rig.run_for(1.0)
    assert [rig.code(id_) for id_ in (2, 3, 5)] == [None] * 3


def test_rate_limited_with_another_nonce_is_not_the_answer() -> None:
    rig = Rig().live()
    rig.everybody(1, "41", nonce="a")
    rig.objection("41", "b", 17.25)
    rig.run_for(1.0)
    assert rig.code(1) is None


def test_rate_limited_refuses_what_waits_for_that_guild() -> None:
    rig = Rig()
    rig.everybody(1, "41")
    rig.everybody(2, "42")
    rig.objection("41", None, 5.0)
    assert (rig.code(1), rig.answers[1].retry_after_s) == ("rate_limited", 5.0)
    rig.run_for(5.0)
    rig.everybody(3, "41")
    rig.live().run_for(1.0)
    assert [said["d"]["guild_id"] for _, said in rig.wrote] == ["42", "41"]


def test_a_second_request_for_a_guild_whose_first_waits_is_refused_until_that_gave_up() -> None:
    rig = Rig()
    rig.everybody(1, "41")
    rig.everybody(2, "41")
    assert (rig.code(2), rig.answers[2].retry_after_s) == ("rate_limited", 30.0)
    rig.run_for(30.0)
    assert rig.code(1) == "not_ready"
    rig.everybody(3, "41")
    rig.live().run_for(1.0)
    assert rig.code(3) is None


def test_a_connection_that_ends_within_that_second_leaves_the_caller_in_no_false_hope() -> None:
    rig = Rig().live()
    rig.everybody(1, "41")
    rig.shut(4001)
    assert rig.code(1) == "not_ready"
    rig.everybody(2, "41")
    assert rig.code(2) == "rate_limited"  # Discord may have counted it


def test_the_last_write_is_known_for_whoever_looks_for_a_culprit() -> None:
    rig = Rig().live()
    assert rig.commands.last is None
    rig.run_for(3.0)
    rig.sounds(1)
    assert rig.commands.last == (31, START + 3.0)
