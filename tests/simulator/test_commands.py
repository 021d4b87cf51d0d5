import json
from typing import Any

import pytest

from gwsimulator.commands import Commands
from gwsimulator.settings import Settings
from gwsimulator.world import World

SESSION = "a" * 32


def answers(commands: Commands, op: int, data: Any, now: float = 10_000.0) -> list[tuple[str, Any]]:
    events = commands.answer(op, data, SESSION, now)
    assert events is not None
    return [(event.name, json.loads(event.d)) for event in events]


@pytest.fixture
def commands() -> Commands:
    return Commands(World(Settings()))


def test_joining_a_voice_channel_brings_a_state_and_a_server(commands: Commands) -> None:
    data = {"guild_id": "1", "channel_id": "2", "self_mute": True, "self_deaf": False}
    (state, state_d), (server, _) = answers(commands, 4, data)
    assert (state, server) == ("VOICE_STATE_UPDATE", "VOICE_SERVER_UPDATE")
    assert (state_d["session_id"], state_d["self_mute"]) == (SESSION, True)


def test_leaving_it_brings_a_state_only(commands: Commands) -> None:
    assert [name for name, _ in answers(commands, 4, {"guild_id": "1", "channel_id": None})] == [
        "VOICE_STATE_UPDATE"
    ]


def test_members_come_in_a_chunk_with_the_nonce(commands: Commands) -> None:
    guild = str(commands.world.guild_ids[0])
    data = {"guild_id": guild, "query": "a", "limit": 1, "nonce": "n"}
    ((name, chunk),) = answers(commands, 8, data)
    assert name == "GUILD_MEMBERS_CHUNK"
    assert (chunk["guild_id"], chunk["chunk_index"], chunk["chunk_count"], chunk["nonce"]) == (
        guild,
        0,
        1,
        "n",
    )


def test_a_nonce_of_more_than_32_bytes_is_ignored(commands: Commands) -> None:
    data = {"guild_id": "1", "query": "a", "limit": 1, "nonce": "n" * 33}
    assert "nonce" not in answers(commands, 8, data)[0][1]


def test_all_members_of_a_guild_twice_in_30_s_is_rate_limited(commands: Commands) -> None:
    data = {"guild_id": "1", "query": "", "limit": 0}
    assert answers(commands, 8, data, 10_000.0)[0][0] == "GUILD_MEMBERS_CHUNK"
    ((name, d),) = answers(commands, 8, data, 10_010.0)
    assert (name, d["opcode"], d["retry_after"], d["meta"]) == ("RATE_LIMITED", 8, 20.0, {"guild_id": "1"})
    assert answers(commands, 8, {**data, "guild_id": "2"}, 10_010.0)[0][0] == "GUILD_MEMBERS_CHUNK"
    assert answers(commands, 8, data, 10_029.9)[0][0] == "RATE_LIMITED"
    assert answers(commands, 8, data, 10_030.0)[0][0] == "GUILD_MEMBERS_CHUNK"


def test_sounds_and_channel_info_are_answered_emptily(commands: Commands) -> None:
    assert [d["guild_id"] for _, d in answers(commands, 31, {"guild_ids": ["1", "2"]})] == ["1", "2"]
    assert answers(commands, 43, {"guild_id": "1", "fields": ["status"]})[0][0] == "CHANNEL_INFO"


@pytest.mark.parametrize(
    ("op", "data"),
    [
        (3, {"status": "idle"}),
        (3, None),
        (4, {"guild_id": "1"}),
        (8, {"guild_id": "1"}),
        (8, {"query": "", "limit": 0}),
        (31, {}),
        (43, {}),
    ],
)
def test_a_command_without_its_fields_has_no_answer(commands: Commands, op: int, data: Any) -> None:
    assert commands.answer(op, data, SESSION, 10_000.0) is None
