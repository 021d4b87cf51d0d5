from typing import Any

import pytest

from gwsimulator.identify import Identity, Refusal, bare, is_presence
from gwsimulator.identify import judge as judge_with_guilds
from gwsimulator.settings import Settings


def judge(data: dict[str, Any], settings: Settings) -> Identity | Refusal:
    return judge_with_guilds(data, settings, lambda place: 0)


def test_all_documented_intents_together_are_valid() -> None:
    everything = sum(1 << bit for bit in [*range(17), 20, 21, 24, 25])
    assert judge({"intents": everything, "shard": [0, 1], "properties": {}}, Settings()) == Identity(
        0, 1, everything
    )


def test_a_missing_shard_means_the_only_one() -> None:
    assert judge({"intents": 0, "properties": {}}, Settings()) == Identity(0, 1, 0)


def test_a_complete_presence_is_accepted() -> None:
    idle: dict[str, object] = {"since": None, "activities": [], "status": "idle", "afk": False}
    assert judge({"intents": 0, "properties": {}, "presence": idle}, Settings()) == Identity(0, 1, 0)


def test_a_presence_with_the_older_name_for_activities_is_accepted_too() -> None:
    assert is_presence({"since": None, "game": None, "status": "idle", "afk": False})


@pytest.mark.parametrize("missing", ["since", "activities", "status", "afk"])
def test_a_presence_without_one_of_its_fields_is_none(missing: str) -> None:
    idle: dict[str, object] = {"since": None, "activities": [], "status": "idle", "afk": False}
    del idle[missing]
    assert not is_presence(idle)


def test_a_token_may_follow_the_word_bot_and_anything_else_is_none() -> None:
    assert [bare("abc"), bare("Bot abc"), bare(""), bare(None), bare(7)] == ["abc", "abc", "", "", ""]
