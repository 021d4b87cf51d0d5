from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from gwcluster.wire.control import Command, CommandDone
from gwworker.commands import Commands
from gwworker.ratelimit import SendBudget
from gwworker.sender import Sender

START = 10_000.0


class Rig:
    """A sender on a connection that is played here."""

    def __init__(self) -> None:
        self.connected = True
        self.unsent = 0
        self.wrote: list[Any] = []
        self.answers: list[CommandDone] = []
        budget = SendBudget()
        budget.start()
        budget.adopt(41.25)
        self.sender = Sender(
            Commands(budget, intents=2),
            send=self._send,
            unsent=lambda: self.unsent,
            answer=self.answers.append,
        )

    def _send(self, payload: bytes) -> bool:
        if self.connected:
            self.wrote.append(json.loads(payload)["d"])
        return self.connected

    def sounds(self, id_: int, now: float = START) -> None:
        self.sender.heard(Command(id_, 31, {"guild_ids": [str(id_)]}, None), now)

    @property
    def codes(self) -> list[tuple[int, str | None]]:
        return [(answer.id, answer.code) for answer in self.answers]


def test_a_command_is_sent_once_the_shard_is_live() -> None:
    rig = Rig()
    rig.sounds(1)
    assert (rig.wrote, rig.answers, rig.sender.due) == ([], [], START + 30.0)
    rig.sender.opened(START + 1.0)
    assert rig.wrote == [{"guild_ids": ["1"]}]
    assert rig.answers == [CommandDone(1, None, "written", None, START + 1.0)]
    assert rig.sender.due is None


def test_a_late_tick_answers_what_is_too_late() -> None:
    rig = Rig()
    rig.sounds(1)
    rig.sender.tick(START + 30.0)
    assert rig.codes == [(1, "not_ready")]
    assert rig.sender.due is None


def test_a_command_is_answered_when_the_socket_has_taken_it_and_not_before() -> None:
    rig = Rig()
    rig.sender.opened(START)
    rig.unsent = 4096
    rig.sounds(1)
    rig.sounds(2)
    assert (len(rig.wrote), rig.answers) == (1, [])
    assert rig.sender.due == START + 0.05
    rig.sender.tick(START + 0.05)
    assert rig.answers == []
    rig.unsent = 0
    rig.sender.tick(START + 0.1)
    assert rig.codes == [(1, None), (2, None)]
    assert rig.sender.due is None


def test_a_connection_that_takes_nothing_any_more_loses_the_command_and_shuts_the_gate() -> None:
    rig = Rig()
    rig.sender.opened(START)
    rig.connected = False
    rig.sounds(1)
    rig.sounds(2)
    assert rig.codes == [(1, "not_ready")]
    rig.connected = True
    rig.sender.opened(START + 5.0)
    assert rig.wrote == [{"guild_ids": ["2"]}]


def test_a_gate_may_be_shut_twice() -> None:
    rig = Rig()
    rig.sender.opened(START)
    rig.unsent = 1
    rig.sounds(1)
    rig.sender.shut(START + 1.0)
    rig.sender.shut(START + 1.5, 4003)
    assert rig.codes == [(1, "not_ready")]
    assert rig.sender.due is None


def test_rate_limited_reaches_its_caller() -> None:
    rig = Rig()
    rig.sender.opened(START)
    rig.sender.heard(Command(1, 8, {"guild_id": "41", "query": "", "limit": 0}, None), START)
    assert (len(rig.wrote), rig.answers, rig.sender.due) == (1, [], START + 1.0)
    limit = b'{"t":"RATE_LIMITED","s":7,"op":0,"d":{"opcode":8,"retry_after":9.5,"meta":{"guild_id":"41"}}}'
    rig.sender.rate_limited(limit, START + 0.1)
    assert rig.codes == [(1, "rate_limited")]
    assert rig.answers[0].retry_after_s == 9.5


def test_rate_limited_reaches_a_caller_whose_payload_the_socket_took_a_moment_ago() -> None:
    rig = Rig()
    rig.sender.opened(START)
    rig.unsent = 4096
    rig.sender.heard(Command(1, 8, {"guild_id": "41", "query": "", "limit": 0}, None), START)
    rig.unsent = 0
    limit = b'{"t":"RATE_LIMITED","s":7,"op":0,"d":{"opcode":8,"retry_after":9.5,"meta":{"guild_id":"41"}}}'
    rig.sender.rate_limited(limit, START + 0.02)  # sooner than it would have looked again
    assert rig.codes == [(1, "rate_limited")]


def test_rate_limited_for_something_else_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.sender.rate_limited(b'{"t":"RATE_LIMITED","s":7,"op":0,"d":{"opcode":3}}', START)
    assert "rate limits something else" in caplog.text
    assert rig.answers == []


@pytest.mark.parametrize(("code", "lines"), [(4001, 1), (4002, 1), (4008, 1), (4000, 0), (None, 0)])
def test_a_close_that_a_command_may_have_caused_names_it(
    code: int | None, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig()
    rig.sender.opened(START)
    rig.sounds(1)
    with caplog.at_level(logging.WARNING):
        rig.sender.shut(START + 0.25, code)
    assert len(caplog.messages) == lines
    if lines:
        assert caplog.messages[0] == (
            f"close code {code} came 0.2 s after a command with opcode 31 was sent; it is not sent again"
        )


def test_no_close_is_blamed_on_commands_that_nobody_sent(caplog: pytest.LogCaptureFixture) -> None:
    Rig().sender.shut(START, 4002)
    assert caplog.messages == []
