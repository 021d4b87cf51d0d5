from typing import Any

import pytest

from gwsimulator.commands import fits
from support.sim_rig import Rig

IDLE: dict[str, object] = {"since": None, "activities": [], "status": "idle", "afk": False}


def answers(op: int, data: Any, **settings: Any) -> list[tuple[str, Any]]:
    rig = Rig(**settings)
    link, _ = rig.go_live()
    return [(one["t"], one["d"]) for one in rig.send(link, op, data)]


def test_joining_a_voice_channel_brings_a_state_and_a_server() -> None:
    rig = Rig()
    link, session = rig.go_live()
    data = {"guild_id": "1", "channel_id": "2", "self_mute": True, "self_deaf": False}
    state, server = rig.send(link, 4, data)
    assert (state["t"], server["t"]) == ("VOICE_STATE_UPDATE", "VOICE_SERVER_UPDATE")
    assert (state["d"]["session_id"], state["d"]["self_mute"]) == (session, True)


def test_leaving_it_brings_a_state_only() -> None:
    assert [name for name, _ in answers(4, {"guild_id": "1", "channel_id": None})] == ["VOICE_STATE_UPDATE"]


def test_sounds_and_channel_info_are_answered_emptily() -> None:
    sounds = answers(31, {"guild_ids": ["1", "2"]})
    assert [(name, d["guild_id"]) for name, d in sounds] == [
        ("SOUNDBOARD_SOUNDS", "1"),
        ("SOUNDBOARD_SOUNDS", "2"),
    ]
    assert answers(43, {"guild_id": "1", "fields": ["status"]})[0][0] == "CHANNEL_INFO"


@pytest.mark.parametrize(
    ("op", "data"),
    [
        (3, {"status": "idle"}),
        (3, None),
        (4, {"guild_id": "1"}),
        (8, {"guild_id": "1"}),
        (8, {"query": "", "limit": 0}),
        (8, {"guild_id": ["1", "2"], "query": "", "limit": 0}),
        (8, {"guild_id": "1", "query": "a"}),
        (8, {"guild_id": "1", "user_ids": []}),
        (31, {}),
        (43, {}),
        (43, {"guild_id": "1"}),
    ],
)
def test_a_command_without_its_fields_does_not_fit(op: int, data: Any) -> None:
    assert not fits(op, data)


def test_what_is_wrong_with_a_command_comes_before_whether_it_may_be_sent() -> None:
    rig = Rig()
    link = rig.dial()
    rig.send(link, 3, {"status": "idle"})
    assert rig.ended == {link: 4001}


@pytest.mark.parametrize(("setting", "ended"), [("ignore", []), ("close", [4008])])
def test_a_sixth_presence_in_20_s_is_without_effect_or_the_end(setting: str, ended: list[int]) -> None:
    rig = Rig(presence_limit=setting)
    link, _ = rig.go_live()
    for _ in range(5):
        rig.send(link, 3, IDLE)
    assert rig.rules_broken() == []
    rig.run_for(19.9)
    rig.send(link, 3, IDLE)
    assert rig.rules_broken() == ["presence_rate"]
    assert list(rig.ended.values()) == ended


@pytest.mark.parametrize("setting", ["ignore", "close"])
def test_five_presences_each_20_s_are_fine(setting: str) -> None:
    rig = Rig(presence_limit=setting)
    link, _ = rig.go_live()
    for _ in range(12):
        rig.send(link, 3, IDLE)
        rig.run_for(4.0)
    assert rig.rules_broken() == []


MEMBERS_INTENT, PRESENCES_INTENT = 1 << 1, 1 << 8


@pytest.mark.parametrize(("code", "ended"), [(None, []), (4014, [4014])])
@pytest.mark.parametrize(
    ("more", "intents", "forbidden"),
    [
        ({"query": "", "limit": 0}, 1, True),
        ({"query": "", "limit": 0}, 1 | MEMBERS_INTENT, False),
        ({"query": "a", "limit": 1}, 1, False),
        ({"user_ids": ["1"], "presences": True}, 1, True),
        ({"user_ids": ["1"], "presences": True}, 1 | PRESENCES_INTENT, False),
    ],
)
def test_more_members_than_the_intents_cover_are_not_answered_or_the_end(
    more: dict[str, Any], intents: int, forbidden: bool, code: int | None, ended: list[int]
) -> None:
    rig = Rig(members_without_intent_code=code)
    link = rig.dial()
    rig.identify(link, intents=intents)
    got = rig.send(link, 8, {"guild_id": str(rig.world.guild_ids[0]), **more})
    assert (got == []) == forbidden
    assert rig.rules_broken() == (["members_intent"] if forbidden else [])
    assert list(rig.ended.values()) == (ended if forbidden else [])
