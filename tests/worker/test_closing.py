from __future__ import annotations

import pytest

from gwworker.closing import CLOSE_RESUMABLE, RULES, Action, rule_for


@pytest.mark.parametrize(
    ("code", "action", "floor_s"),
    [
        (None, Action.RESUME, 0.0),
        (1000, Action.RESUME, 0.0),
        (1001, Action.RESUME, 0.0),
        (1006, Action.RESUME, 0.0),
        (1011, Action.RESUME, 0.0),
        (4000, Action.RESUME, 0.0),
        (4001, Action.IDENTIFY, 1.0),
        (4002, Action.RESUME, 0.0),
        (4003, Action.IDENTIFY, 1.0),
        (4004, Action.REFUSE_CLUSTER, 0.0),
        (4005, Action.RESUME, 1.0),
        (4006, Action.IDENTIFY, 1.0),
        (4007, Action.IDENTIFY, 1.0),
        (4008, Action.RESUME, 5.0),
        (4009, Action.IDENTIFY, 1.0),
        (4010, Action.REFUSE_SHARD, 0.0),
        (4011, Action.REFUSE_SHARD, 0.0),
        (4012, Action.REFUSE_CLUSTER, 0.0),
        (4013, Action.REFUSE_CLUSTER, 0.0),
        (4014, Action.REFUSE_CLUSTER, 0.0),
        (4015, Action.RESUME, 0.0),
        (4999, Action.RESUME, 0.0),
    ],
)
def test_what_follows_a_close_code(code: int | None, action: Action, floor_s: float) -> None:
    rule = rule_for(code)
    assert (rule.action, rule.floor_s) == (action, floor_s)


@pytest.mark.parametrize(
    ("code", "tries"), [(None, None), (1006, None), (4000, None), (4005, 1), (4015, 3), (4999, 3), (3000, 3)]
)
def test_how_often_in_a_row_a_session_may_be_resumed_after_a_code(
    code: int | None, tries: int | None
) -> None:
    assert rule_for(code).tries == tries


def test_only_the_codes_that_discord_does_not_reconnect_after_are_final() -> None:
    refusals = {Action.REFUSE_CLUSTER, Action.REFUSE_SHARD}
    final = {code for code, rule in RULES.items() if rule.action in refusals}
    assert final == {4004, 4010, 4011, 4012, 4013, 4014}


def test_our_own_close_code_keeps_the_session() -> None:
    # "When you close the connection ... with close code 1000 or 1001, your session will be invalidated"
    # https://docs.discord.com/developers/events/gateway#initiating-a-disconnect
    assert CLOSE_RESUMABLE == 4900
