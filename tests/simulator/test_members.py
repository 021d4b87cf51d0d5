import json
from typing import Any

import pytest

from gwsimulator.members import Members
from gwsimulator.sessions import Session
from gwsimulator.settings import Settings
from gwsimulator.world import World

EVERYTHING: dict[str, Any] = {"query": "", "limit": 0}


class Guild:
    """A guild whose members are asked for by two sessions."""

    def __init__(self, **settings: Any) -> None:
        self.world = World(Settings(**settings))
        self.members = Members(self.world)
        self.id = str(self.world.guild_ids[0])
        self.sessions = [Session(name * 32, "abc", (0, 1), 513, None, 100) for name in "ab"]

    def ask(self, now: float = 10_000.0, session: int = 0, **data: Any) -> list[tuple[str, Any]]:
        events = self.members.answer({"guild_id": self.id, **data}, self.sessions[session], now)
        return [(event.name, json.loads(event.d)) for event in events]


def test_all_members_come_in_chunks_of_1000_that_count_themselves() -> None:
    chunks = [d for _, d in Guild(guild_size=2001).ask(**EVERYTHING, nonce="n")]
    assert [len(one["members"]) for one in chunks] == [1000, 1000, 1]
    assert [(one["chunk_index"], one["chunk_count"], one["nonce"]) for one in chunks] == [
        (0, 3, "n"),
        (1, 3, "n"),
        (2, 3, "n"),
    ]
    assert len({one["user"]["id"] for chunk in chunks for one in chunk["members"]}) == 2001


def test_without_a_guild_size_there_are_those_whom_guild_create_lists() -> None:
    guild = Guild(guild_members=3)
    listed = json.loads(guild.world.guild_create(int(guild.id)).d)["members"]
    ((_, chunk),) = guild.ask(**EVERYTHING)
    assert {one["user"]["id"] for one in chunk["members"]} < {one["user"]["id"] for one in listed}


def test_a_guild_tells_its_size_and_whether_it_is_large() -> None:
    for size, large in [(10, False), (1000, True)]:
        guild = Guild(guild_size=size)
        created = json.loads(guild.world.guild_create(int(guild.id)).d)
        assert (created["member_count"], created["large"]) == (size + 1, large)


def test_a_query_finds_names_that_begin_so_and_no_more_than_100() -> None:
    guild = Guild(guild_size=500)
    ((_, some),) = guild.ask(query="USER_1", limit=5)
    assert len(some["members"]) == 5
    assert all(one["user"]["username"].startswith("user_1") for one in some["members"])
    ((_, many),) = guild.ask(query="user", limit=1000)
    assert len(many["members"]) == 100
    assert guild.ask(query="nobody", limit=1)[0][1]["members"] == []


def test_ids_are_found_or_not_found_and_a_small_number_comes_back_as_one() -> None:
    guild = Guild()
    there = guild.ask(**EVERYTHING)[0][1]["members"][0]["user"]["id"]
    ((_, chunk),) = guild.ask(user_ids=[there, "7", "80351110224678912"])
    assert [one["user"]["id"] for one in chunk["members"]] == [there]
    assert chunk["not_found"] == [7, "80351110224678912"]
    assert guild.ask(user_ids=there)[0][1]["not_found"] == []


def test_more_than_100_ids_are_cut() -> None:
    ((_, chunk),) = Guild().ask(user_ids=[str(one) for one in range(150)])
    assert chunk["not_found"] == list(range(100))


def test_presences_come_only_when_asked_for() -> None:
    guild = Guild()
    assert "presences" not in guild.ask(query="user", limit=1)[0][1]
    assert len(guild.ask(query="user", limit=1, presences=True)[0][1]["presences"]) == 1


@pytest.mark.parametrize(("nonce", "echoed"), [("n" * 32, True), ("n" * 33, False), ("é" * 17, False)])
def test_a_nonce_of_more_than_32_bytes_is_ignored(nonce: str, echoed: bool) -> None:
    assert ("nonce" in Guild().ask(query="user", limit=1, nonce=nonce)[0][1]) == echoed


def test_all_members_of_a_guild_twice_in_30_s_is_rate_limited() -> None:
    guild = Guild()
    assert guild.ask(10_000.0, **EVERYTHING)[0][0] == "GUILD_MEMBERS_CHUNK"
    ((name, d),) = guild.ask(10_010.0, **EVERYTHING, nonce="n")
    assert (name, d) == (
        "RATE_LIMITED",
        {"opcode": 8, "retry_after": 20.0, "meta": {"guild_id": guild.id, "nonce": "n"}},
    )
    assert guild.ask(10_010.0, **EVERYTHING, guild_id="2")[0][0] == "GUILD_MEMBERS_CHUNK"
    assert guild.ask(10_029.9, **EVERYTHING)[0][0] == "RATE_LIMITED"
    assert guild.ask(10_030.0, **EVERYTHING)[0][0] == "GUILD_MEMBERS_CHUNK"


def test_some_members_may_be_asked_for_at_any_time() -> None:
    guild = Guild()
    assert [guild.ask(query="user", limit=1)[0][0] for _ in range(5)] == ["GUILD_MEMBERS_CHUNK"] * 5


@pytest.mark.parametrize(("scope", "name"), [("bot", "RATE_LIMITED"), ("session", "GUILD_MEMBERS_CHUNK")])
def test_the_30_s_are_the_bots_or_the_sessions(scope: str, name: str) -> None:
    guild = Guild(members_limit_per=scope)
    guild.ask(10_000.0, session=0, **EVERYTHING)
    assert guild.ask(10_001.0, session=1, **EVERYTHING)[0][0] == name
    assert guild.ask(10_001.0, session=0, **EVERYTHING)[0][0] == "RATE_LIMITED"
