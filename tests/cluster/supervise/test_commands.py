from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gwcluster.supervise.commands import Commands
from gwcluster.wire.control import Command, CommandDone, Message, Unframer, encode

GUILD = 197038439483310086  # >> 22 is 46977624770, so shard 2 of 16


@dataclass
class Timer:
    in_s: float
    then: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Rig:
    """Sixteen shards, of which this cluster runs 0 to 7 and worker 5 is dead."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Command]] = []
        self.answers: list[CommandDone] = []
        self.timers: list[Timer] = []
        self.commands = Commands(
            shards=16,
            ids=range(8),
            tell=self._tell,
            has_worker=lambda shard: shard != 5,
            later=self._later,
        )

    def _tell(self, shard: int, message: Message) -> None:
        assert isinstance(message, Command)
        assert list(Unframer().feed(encode(message))) == [message]
        self.told.append((shard, message))

    def _later(self, in_s: float, then: Callable[[], None]) -> Timer:
        self.timers.append(Timer(in_s, then))
        return self.timers[-1]

    def send(self, payload: object = None, **where: Any) -> None:
        given = {"op": 3, "d": {"status": "idle"}} if payload is None else payload
        self.commands.send(given, answer=self.answers.append, **where)

    @property
    def refusal(self) -> tuple[str | None, str]:
        (answer,) = self.answers
        assert self.told == []
        assert self.timers == []
        return answer.code, answer.message


# Where to


def test_a_command_goes_to_the_shard_that_was_named() -> None:
    rig = Rig()
    rig.send(shard=0)
    rig.send({"op": 31, "d": {}}, shard=7, ttl_s=2)
    assert rig.told == [(0, Command(1, 3, {"status": "idle"}, None)), (7, Command(2, 31, {}, 2.0))]
    assert rig.answers == []


@pytest.mark.parametrize("guild", [GUILD, str(GUILD)])
def test_a_command_goes_to_the_shard_of_its_guild(guild: int | str) -> None:
    # shard_id = (guild_id >> 22) % num_shards
    rig = Rig()
    rig.send(guild_id=guild)
    assert [shard for shard, _ in rig.told] == [2]


def test_ids_have_64_bits_and_are_not_rounded() -> None:
    rig = Rig()
    rig.send(guild_id=(1 << 63) + (3 << 22))
    rig.send(guild_id=(1 << 63) + (3 << 22) - 1)
    assert [shard for shard, _ in rig.told] == [3, 2]


@pytest.mark.parametrize("where", [{"shard": 8}, {"shard": -1}, {"guild_id": 15 << 22}])
def test_shards_that_this_cluster_does_not_run_are_unknown(where: dict[str, Any]) -> None:
    rig = Rig()
    rig.send(**where)
    code, message = rig.refusal
    assert code == "unknown_shard"
    assert "not run by this cluster" in message


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({}, "either shard or guild_id is needed, and not both"),
        ({"shard": 0, "guild_id": GUILD}, "either shard or guild_id is needed, and not both"),
        ({"shard": "0"}, "shard is '0'; it should be an integer"),
        ({"shard": True}, "shard is True"),
        ({"shard": 1.0}, "shard is 1.0"),
        ({"guild_id": "x"}, "guild_id is 'x'; it should be a guild's id, as a string of digits"),
        ({"guild_id": 0}, "guild_id is 0"),
        ({"guild_id": 1 << 64}, "guild_id is 18446744073709551616"),
        ({"guild_id": 1e18}, "guild_id is 1e+18"),
        ({"shard": 0, "ttl_s": 0}, "ttl is 0; it should be seconds, more than 0, at most 300"),
        ({"shard": 0, "ttl_s": 300.5}, "ttl is 300.5"),
        ({"shard": 0, "ttl_s": float("nan")}, "ttl is nan"),
        ({"shard": 0, "ttl_s": "5"}, "ttl is '5'"),
        ({"shard": 0, "ttl_s": True}, "ttl is True"),
    ],
)
def test_a_wrong_request_is_refused_by_key(where: dict[str, Any], says: str) -> None:
    rig = Rig()
    rig.send(**where)
    code, message = rig.refusal
    assert code == "bad_request"
    assert message.startswith(says)


# What


@pytest.mark.parametrize("payload", [[], "x", 3, {}, {"op": 3}, {"d": {}}])
def test_a_payload_has_op_and_d(payload: object) -> None:
    rig = Rig()
    rig.send(payload, shard=0)
    code, message = rig.refusal
    assert code == "bad_request"
    assert 'a map such as {"op": 3, "d": {}}' in message


def test_what_a_worker_would_choke_on_never_gets_there() -> None:
    deep: Any = []
    for _ in range(2_000):
        deep = [deep]
    for odd in ({1: 2}, {3, 4}, deep, "\ud800", 1 << 64, object()):
        rig = Rig()
        rig.send({"op": 3, "d": {"odd": odd}}, shard=0)
        assert rig.refusal[0] == "bad_request"


def test_nesting_that_msgpack_can_carry_is_carried() -> None:
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    rig = Rig()
    rig.send({"op": 3, "d": {"odd": deep}}, shard=0)
    assert len(rig.told) == 1


def test_what_discord_could_never_take_is_too_large_before_any_worker_sees_it() -> None:
    rig = Rig()
    rig.send({"op": 3, "d": {"x": "ü" * 10_000}}, shard=0)
    assert rig.refusal == ("too_large", "20021 bytes of JSON; Discord takes at most 4096")


def test_too_much_of_what_is_no_json_is_a_bad_request() -> None:
    rig = Rig()
    rig.send({"op": 3, "d": {"x": b"x" * 20_000}}, shard=0)
    assert rig.refusal[0] == "bad_request"


def test_what_discord_could_take_goes_to_the_worker_whatever_its_form() -> None:
    rig = Rig()
    rig.send({"op": 8, "d": {"x": [1.5] * 1_000}}, shard=0)
    rig.send({"op": 8, "d": {"x": "x" * 4_096}}, shard=0)
    assert len(rig.told) == 2


# Answers


def test_the_answer_of_the_worker_is_the_answer() -> None:
    rig = Rig()
    rig.send(shard=0)
    done = CommandDone(1, "rate_limited", "later", 12.5, None)
    rig.commands.heard(done)
    rig.commands.heard(done)
    assert rig.answers == [done]
    assert [timer.cancelled for timer in rig.timers] == [True]


def test_an_answer_that_nobody_waits_for_is_nothing() -> None:
    rig = Rig()
    rig.commands.heard(CommandDone(9, None, "written", None, 10_000.0))
    assert rig.answers == []


def test_without_a_worker_the_shard_is_not_ready() -> None:
    rig = Rig()
    rig.send(shard=5)
    assert rig.refusal == ("not_ready", "shard 5 is not running")
    assert rig.answers[0].retry_after_s == 1.0


def test_the_end_of_a_worker_is_the_answer_to_what_was_with_it_and_to_nothing_else() -> None:
    rig = Rig()
    for shard in (0, 1, 0):
        rig.send(shard=shard)
    rig.commands.worker_ended(0)
    rig.commands.worker_ended(0)
    assert [(done.id, done.code) for done in rig.answers] == [(1, "not_ready"), (3, "not_ready")]
    assert [timer.cancelled for timer in rig.timers] == [True, False, True]
    rig.commands.heard(CommandDone(2, None, "written", None, 10_000.0))
    assert [(done.id, done.code) for done in rig.answers[2:]] == [(2, None)]


@pytest.mark.parametrize(("ttl_s", "in_s"), [(None, 65.0), (10, 15.0), (300, 305.0)])
def test_a_worker_that_says_nothing_is_given_up_a_little_after_the_command_is(
    ttl_s: float | None, in_s: float
) -> None:
    rig = Rig()
    rig.send(shard=0, ttl_s=ttl_s)
    (timer,) = rig.timers
    assert timer.in_s == in_s
    timer.then()
    assert [done.code for done in rig.answers] == ["not_ready"]
    rig.commands.heard(CommandDone(1, None, "written", None, 10_000.0))
    assert len(rig.answers) == 1


def test_one_shard_holds_1500_unanswered_commands_and_others_are_not_in_its_way() -> None:
    rig = Rig()
    for _ in range(1_501):
        rig.send(shard=0)
    assert [(done.code, done.retry_after_s) for done in rig.answers] == [("rate_limited", 1.0)]
    rig.send(shard=1)
    rig.commands.heard(CommandDone(1, None, "written", None, 10_000.0))
    rig.send(shard=0)
    assert len(rig.told) == 1_502


def test_one_shard_holds_a_mebibyte_of_unanswered_commands() -> None:
    rig = Rig()
    while not rig.answers:
        rig.send({"op": 8, "d": {"x": "x" * 8_000}}, shard=0)
    held = sum(len(encode(command)) for _, command in rig.told)
    assert (1 << 20) - 8_200 < held <= 1 << 20
    rig.commands.worker_ended(0)
    rig.send(shard=0)
    assert rig.answers[-1].code == "not_ready"
    assert rig.told[-1][1].op == 3


def test_every_answer_comes_once_even_if_asking_again_is_part_of_it() -> None:
    rig = Rig()

    def again(done: CommandDone) -> None:
        rig.answers.append(done)
        if len(rig.answers) < 3:
            rig.commands.send({"op": 3, "d": {}}, answer=again, shard=0)

    rig.commands.send({"op": 3, "d": {}}, answer=again, shard=0)
    rig.commands.worker_ended(0)
    rig.commands.worker_ended(0)
    rig.commands.worker_ended(0)
    assert [done.id for done in rig.answers] == [1, 2, 3]
