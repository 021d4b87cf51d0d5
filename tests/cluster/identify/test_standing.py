from __future__ import annotations

import os
from pathlib import Path

import pytest

from gwcluster.config import Config
from gwcluster.identify.gateway_info import GatewayInfo
from gwcluster.identify.known import Known
from gwcluster.identify.standing import Sessions, beginning, forget_all, look, resuming
from gwcluster.identify.start import Start, StartError
from support.config_files import loaded
from support.saved_sessions import TOKEN, WALL, leave

KNOWN = Known("http://127.0.0.1:8/api/v10", "ws://127.0.0.1:9", 4, 4)
INFO = GatewayInfo("ws://127.0.0.1:9", 6, 1000, 1000, 60.0, 1)


def config(folder: Path, shards: str = "{}") -> Config:
    text = f"token: {TOKEN}\nintents: 513\nshards: {shards}\ngateway: {{api: '{KNOWN.api}'}}\n"
    return loaded(folder, text)


def found(folder: Path, now: float = WALL + 60.0) -> Sessions:
    return look(folder / "shards", token=TOKEN, now=now)


def test_a_folder_that_is_not_there_holds_no_session(tmp_path: Path) -> None:
    assert found(tmp_path) == {}


def test_sessions_of_this_bot_that_were_alive_within_ten_minutes_are_found(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    leave(shards, [0, 1])
    leave(shards, [2], at=WALL - 541.0)
    leave(shards, [3], token="another.bots.token")
    leave(shards, [4], log=False)
    leave(shards, [5], at=WALL + 3600.0)  # the clock jumped: who knows
    leave(shards, [6], shards=16)
    (shards / "7").mkdir()
    (shards / "strange").mkdir()
    assert sorted(found(tmp_path)) == [0, 1, 6]
    assert sorted(found(tmp_path, now=WALL + 601.0)) == []


def test_looking_changes_nothing(tmp_path: Path) -> None:
    leave(tmp_path / "shards", [0])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    found(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_restart_keeps_the_count_of_the_last_run_while_any_shard_can_resume(tmp_path: Path) -> None:
    leave(tmp_path / "shards", [0, 2])
    start = resuming(config(tmp_path), found(tmp_path), KNOWN)
    assert start == Start(4, (0, 1, 2, 3), frozenset({0, 2}))
    assert start.identifying == (1, 3)


@pytest.mark.parametrize(
    "known",
    [None, Known("http://127.0.0.1:7/api/v10", "ws://127.0.0.1:9", 4, 4), Known(KNOWN.api, "x", 8, 8)],
)
def test_nothing_is_resumed_at_a_gateway_that_is_not_known_or_with_another_count(
    tmp_path: Path, known: Known | None
) -> None:
    leave(tmp_path / "shards", [0, 2])
    assert resuming(config(tmp_path), found(tmp_path), known) is None


def test_a_count_in_the_configuration_is_what_counts(tmp_path: Path) -> None:
    leave(tmp_path / "shards", range(4))
    assert resuming(config(tmp_path, "{count: 8}"), found(tmp_path), KNOWN) is None
    assert beginning(config(tmp_path, "{count: 8}"), found(tmp_path), KNOWN, INFO) == Start(
        8, tuple(range(8)), given_up=4
    )


def test_ids_beyond_the_last_count_wait_for_what_discord_says(tmp_path: Path) -> None:
    leave(tmp_path / "shards", range(4))
    assert resuming(config(tmp_path, "{ids: 2-5}"), found(tmp_path), KNOWN) is None
    assert beginning(config(tmp_path, "{ids: 2-5}"), found(tmp_path), KNOWN, INFO).ids == (2, 3, 4, 5)


def test_shards_that_another_cluster_runs_by_now_are_not_given_up(tmp_path: Path) -> None:
    leave(tmp_path / "shards", range(4))
    assert resuming(config(tmp_path, "{ids: 0-1}"), found(tmp_path), KNOWN) == Start(
        4, (0, 1), frozenset({0, 1})
    )


def test_other_intents_need_other_sessions(tmp_path: Path) -> None:
    leave(tmp_path / "shards", range(4), intents=1)
    assert resuming(config(tmp_path), found(tmp_path), KNOWN) is None
    assert beginning(config(tmp_path), found(tmp_path), KNOWN, INFO).given_up == 4


def test_a_start_without_sessions_follows_discords_recommendation(tmp_path: Path) -> None:
    assert beginning(config(tmp_path), {}, KNOWN, INFO) == Start(6, (0, 1, 2, 3, 4, 5))
    assert beginning(config(tmp_path, "{ids: 1-2}"), {}, None, INFO).ids == (1, 2)


def test_an_absurd_recommendation_is_followed_only_when_the_configuration_says_it_too(tmp_path: Path) -> None:
    absurd = GatewayInfo("ws://127.0.0.1:9", 41, 1000, 1000, 60.0, 1)
    with pytest.raises(StartError, match="recommends 41 shards, and the last time it was 4"):
        beginning(config(tmp_path), {}, KNOWN, absurd)
    assert beginning(config(tmp_path, "{count: 41}"), {}, KNOWN, absurd).shards == 41


def test_giving_up_removes_every_session_and_leaves_the_logs(tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    leave(shards, [0, 1])
    leave(shards, [9], shards=16, token="another.bots.token")
    logs = sorted(shards.glob("*/*.log"))
    assert forget_all(shards) == 3
    assert forget_all(shards) == 0
    assert found(tmp_path) == {}
    assert sorted(shards.glob("*/*.log")) == logs
    assert not any(name == "session.json" for _, _, names in os.walk(shards) for name in names)
