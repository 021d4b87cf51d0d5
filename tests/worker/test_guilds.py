from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gwworker.guilds import Guilds
from support.scene import Scene, stage

AT = 1_790_000_000.0


def event(name: str, guild: int, **fields: Any) -> bytes:
    data = {"roles": [{"id": "900"}], "channels": [{"id": "901", "guild_id": str(guild)}], **fields}
    return json.dumps(
        {"t": name, "s": 2, "op": 0, "d": {**data, "id": str(guild)}}, separators=(",", ":")
    ).encode()


def create(guild: int) -> bytes:
    return event("GUILD_CREATE", guild)


def test_before_ready_nobody_knows_how_many_there_are(tmp_path: Path) -> None:
    guilds = Guilds(tmp_path, 0)
    guilds.heard("GUILD_CREATE", create(7))
    assert (guilds.count, guilds.age_s(0, AT)) == (None, None)


def test_those_that_ready_listed_count_and_coming_once_more_count_no_more(tmp_path: Path) -> None:
    guilds = Guilds(tmp_path, 0)
    guilds.ready(1, [7, 5], AT)
    guilds.heard("GUILD_CREATE", create(7))
    guilds.heard("GUILD_CREATE", create(5))
    assert guilds.count == 2
    assert guilds.age_s(1, AT + 60.0) == 60.0
    assert guilds.age_s(2, AT + 60.0) is None


def test_a_guild_that_the_bot_joins_counts_once_and_one_that_it_leaves_no_more(tmp_path: Path) -> None:
    guilds = Guilds(tmp_path, 0)
    guilds.ready(1, [7], AT)
    for _ in range(2):
        guilds.heard("GUILD_CREATE", create(6))
    assert guilds.count == 2
    for _ in range(2):
        guilds.heard("GUILD_DELETE", event("GUILD_DELETE", 6))
    assert guilds.count == 1


def test_a_guild_that_is_away_for_an_outage_is_still_there(tmp_path: Path) -> None:
    guilds = Guilds(tmp_path, 0)
    guilds.ready(1, [7], AT)
    guilds.heard("GUILD_DELETE", event("GUILD_DELETE", 7, unavailable=True))
    assert guilds.count == 1
    guilds.heard("GUILD_CREATE", create(7))
    assert guilds.count == 1


def test_who_resumes_knows_the_guilds_and_the_age_of_the_session(tmp_path: Path) -> None:
    first = Guilds(tmp_path, 0)
    first.ready(3, [7, 5], AT)
    first.heard("GUILD_CREATE", create(6))
    first.keep()
    second = Guilds(tmp_path, 3)
    assert (second.count, second.age_s(3, AT + 1.0)) == (3, 1.0)
    second.heard("GUILD_CREATE", create(6))
    second.heard("GUILD_CREATE", create(8))
    assert second.count == 4


def test_those_of_another_session_or_of_a_damaged_file_are_not_taken(tmp_path: Path) -> None:
    first = Guilds(tmp_path, 0)
    first.ready(3, [7, 5], AT)
    first.keep()
    assert Guilds(tmp_path, 4).count is None
    file = tmp_path / "guilds"
    whole = file.read_bytes()
    for damaged in (b"", b"{}", whole[:-3], whole[:-1] + b"\xff", b"[1]\n", b"\xff" * 40):
        file.write_bytes(damaged)
        assert Guilds(tmp_path, 3).count is None
    file.write_bytes(whole)
    assert Guilds(tmp_path, 3).count == 2


def test_what_is_no_guild_and_a_disk_that_refuses_change_nothing(tmp_path: Path) -> None:
    guilds = Guilds(tmp_path / "nowhere", 0)
    guilds.ready(1, [7], AT)
    for payload in (b"{", b'{"d":[]}', b'{"d":{"id":"x"}}', b'{"d":{"id":"99999999999999999999"}}'):
        guilds.heard("GUILD_CREATE", payload)
        guilds.heard("GUILD_DELETE", payload)
    guilds.keep()
    assert guilds.count == 1


def test_a_worker_counts_what_it_hands_out_and_tells_its_successor(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        def guilds() -> int | None:
            pulse = scene.crew.board.views[0].pulse
            return None if pulse is None else pulse.guilds

        await scene.live()
        await scene.until(lambda: guilds() == 2)
        scene.sim.emit("GUILD_CREATE", {"id": "77"})
        await scene.until(lambda: guilds() == 3)
        scene.crew.restart(0)
        await scene.until(lambda: guilds() is None)
        await scene.until(lambda: guilds() == 3)
        scene.sim.emit("GUILD_DELETE", {"id": "77"})
        await scene.until(lambda: guilds() == 2)
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)
