import json
from typing import Any

import pytest

from gwsimulator.settings import Settings
from gwsimulator.world import Event, World, without_content


def events(world: World, shard: int, count: int) -> list[Event]:
    made = [world.happening(shard) for _ in range(count)]
    return [event for event in made if event is not None]


def test_the_same_seed_makes_the_same_world_and_another_seed_another() -> None:
    first, again, other = (World(Settings(seed=seed)) for seed in (1, 1, 2))
    assert first.guild_ids == again.guild_ids
    assert events(first, 0, 300) == events(again, 0, 300)
    assert first.guild_create(first.guild_ids[0]) == again.guild_create(first.guild_ids[0])
    assert first.guild_ids != other.guild_ids


def test_a_message_is_about_1_kb_and_ends_with_its_own_guild_id() -> None:
    messages = [event for event in events(World(Settings()), 0, 256) if event.name == "MESSAGE_CREATE"]
    assert 900 <= sum(len(event.d) for event in messages) / len(messages) <= 1300
    for event in messages:
        keys = list(json.loads(event.d))
        assert keys[-1] == "guild_id"
        assert keys[:-1] == sorted(keys[:-1], reverse=True)


def test_some_replies_name_another_guild_before_their_own() -> None:
    messages = [event for event in events(World(Settings()), 0, 256) if event.name == "MESSAGE_CREATE"]
    assert any(
        event.d.index(b'"guild_id"') < event.d.rindex(b'"guild_id"')
        and json.loads(event.d)["message_reference"]["guild_id"] != json.loads(event.d)["guild_id"]
        for event in messages
    )


def test_some_presences_nest_the_keys_of_the_top_level() -> None:
    presences = events(World(Settings(mix="presence")), 0, 256)
    assert any(
        {"t", "s", "op", "guild_id"} <= json.loads(event.d)["activities"][0]["metadata"].keys()
        for event in presences
        if event.name == "PRESENCE_UPDATE" and b"metadata" in event.d
    )


@pytest.mark.parametrize(
    ("mix", "most"),
    [("chat", "MESSAGE_CREATE"), ("presence", "PRESENCE_UPDATE"), ("guilds", "CHANNEL_UPDATE")],
)
def test_each_mix_has_its_own_favourite(mix: str, most: str) -> None:
    names = [event.name for event in events(World(Settings(mix=mix)), 0, 256)]
    assert max(set(names), key=names.count) == most


def test_no_two_events_have_the_same_id() -> None:
    made = [event.d for event in events(World(Settings()), 0, 2000)]
    assert len(set(made)) == 2000


def test_every_event_is_json_of_a_guild_of_its_shard() -> None:
    world = World(Settings(shards=3, guilds=9))
    for event in events(world, 2, 256):
        assert event.guild_id is not None
        assert int(json.loads(event.d)["guild_id"]) == event.guild_id
        assert (event.guild_id >> 22) % 3 == 2


def test_a_shard_without_guilds_has_no_events() -> None:
    assert World(Settings(shards=2, guilds=0)).happening(0) is None


MESSAGE: dict[str, Any] = {
    "id": "1",
    "guild_id": "2",
    "content": "x",
    "embeds": [1],
    "attachments": [1],
    "components": [1],
    "poll": {},
}


def test_without_the_content_intent_content_is_empty_and_polls_are_gone() -> None:
    emptied = {"id": "1", "guild_id": "2", "content": "", "embeds": [], "attachments": [], "components": []}
    assert without_content(MESSAGE, "7") == emptied


@pytest.mark.parametrize(
    "message",
    [
        {key: value for key, value in MESSAGE.items() if key != "guild_id"},
        {**MESSAGE, "author": {"id": "7"}},
        {**MESSAGE, "mentions": [{"id": "8"}, {"id": "7"}]},
    ],
)
def test_direct_messages_own_ones_and_mentions_keep_their_content(message: dict[str, Any]) -> None:
    # https://docs.discord.com/developers/events/gateway#message-content-intent
    assert without_content(message, "7") == message


def test_messages_have_a_view_without_content_that_is_the_same_message() -> None:
    world = World(Settings())
    mentioned = 0
    for message in (event for event in events(world, 0, 256) if event.name == "MESSAGE_CREATE"):
        assert message.d_without_content is not None
        full, bare = json.loads(message.d), json.loads(message.d_without_content)
        assert full["content"]
        mentioned += full["mentions"] != []
        assert bare == (full if full["mentions"] else {**full, "content": ""})
    assert 0 < mentioned < 40


def test_guild_create_is_a_few_kb_with_more_than_32_keys_in_no_order() -> None:
    world = World(Settings())
    made = [world.guild_create(guild).d for guild in world.guild_ids[:2]]
    assert all(4_000 <= len(d) <= 8_000 for d in made)
    keys = [list(json.loads(d)) for d in made]
    assert len(keys[0]) > 32
    assert set(keys[0]) == set(keys[1])
    assert keys[0] != keys[1]


def test_ready_grows_by_47_bytes_a_guild() -> None:
    sizes = [
        len(World(Settings(shards=1, guilds=guilds)).ready("a" * 32, "wss://gateway.test", (0, 1)))
        for guilds in (100, 200)
    ]
    assert 4_500 <= sizes[1] - sizes[0] <= 4_900


READY_KEYS = """
    v user_settings user shard session_type session_id resume_gateway_url relationships private_channels
    presences guilds guild_join_requests geo_ordered_rtc_regions game_relationships auth application _trace
"""
GUILD_KEYS = """
    id name icon owner_id roles emojis features nsfw_level incidents_data joined_at large unavailable
    member_count voice_states members channels threads presences stage_instances soundboard_sounds lazy
    guild_scheduled_events guild_hashes embedded_activities application_command_counts
"""


def test_payloads_have_the_keys_that_captures_have() -> None:
    world = World(Settings())
    assert list(json.loads(world.ready("a" * 32, "wss://gateway.test", (0, 1)))) == READY_KEYS.split()
    assert json.loads(world.guild_create(world.guild_ids[0]).d).keys() >= set(GUILD_KEYS.split())
    made = {event.name: json.loads(event.d) for event in events(world, 0, 256)}
    assert "member" in made["MESSAGE_CREATE"]
    assert made["TYPING_START"]["timestamp"] < 10_000_000_000, "seconds"
