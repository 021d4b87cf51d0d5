"""F67, F68, F83, F84, F89 and F94 to F100: what a bot sends through its shards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from gwcluster.wire.control import CommandDone
from support.scene import Scene, stage


def sounds(number: int) -> dict[str, Any]:
    return {"op": 31, "d": {"guild_ids": [str(number)]}}


def wire(payload: object) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


def everybody(guild: str, nonce: str = "n") -> dict[str, Any]:
    return {"op": 8, "d": {"guild_id": guild, "query": "", "limit": 0, "nonce": nonce}}


def voice(guild: str) -> dict[str, Any]:
    return {"op": 4, "d": {"guild_id": guild, "channel_id": None, "self_mute": False, "self_deaf": False}}


def playing(what: str) -> dict[str, Any]:
    return {"op": 3, "d": {"activities": [{"name": what, "type": 0}]}}


def guilds(scene: Scene, shard: int = 0) -> list[str]:
    """Return the ids of a shard's guilds, as its GUILD_CREATEs told them."""
    return [json.loads(one.payload)["d"]["id"] for one in scene.events("GUILD_CREATE", shard=shard)]


def sending(scene: Scene, payloads: Iterable[object], **where: Any) -> list[asyncio.Task[CommandDone]]:
    return [scene.loop.create_task(scene.send(payload, **where)) for payload in payloads]


async def codes(tasks: list[asyncio.Task[CommandDone]]) -> list[str | None]:
    return [done.code for done in await asyncio.gather(*tasks)]


def most_in_60_s(scene: Scene) -> int:
    """Return the most messages that any connection sent in any 60 s."""
    most = 0
    for link in {frame.link for frame in scene.sim.ledger.frames}:
        moments = [frame.at for frame in scene.sim.ledger.frames if frame.link == link]
        for index, at in enumerate(moments):
            most = max(most, sum(1 for other in moments[index:] if other - at < 60.0))
    return most


def numbers(scene: Scene) -> list[int]:
    return [int(one.data["guild_ids"][0]) for one in scene.sim.ledger.commands if one.op == 31]


@pytest.mark.parametrize("has_seq", [True, False])
def test_f67_commands_queued_while_resuming_are_flushed_after_resumed(tmp_path: Path, has_seq: bool) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.abort(0)
        await scene.until(lambda: not scene.is_live(0))
        waiting = sending(scene, [sounds(1), sounds(2)], shard=0)
        assert await codes(waiting) == [None, None]
        (resume,) = scene.sim.ledger.resumes
        assert resume.outcome == "resumed"
        assert numbers(scene) == [1, 2]
        assert all(command.at >= resume.at for command in scene.sim.ledger.commands)

    stage(tmp_path, play, resumed_has_seq=has_seq)


def test_f68_the_gate_is_shut_before_anything_else_when_op_9_comes(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.op9(0)
        await scene.until(lambda: not scene.is_live(0))
        waiting = sending(scene, [sounds(1)], shard=0)
        assert await codes(waiting) == [None]
        # A command after op 9 would be answered by 4003 and break the rule not_authenticated.
        assert [identify.outcome for identify in scene.sim.ledger.identifies] == ["ready", "ready"]
        assert [close.by for close in scene.sim.ledger.closes[:1]] == ["client"]
        assert numbers(scene) == [1]

    stage(tmp_path, play)


def test_f68_a_command_that_crosses_with_op_9_costs_nothing_more_and_is_not_sent_again(
    tmp_path: Path,
) -> None:
    # It leaves before we can know of op 9, so Discord may answer it with 4003.
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.op9(0)
        crossing = sending(scene, [sounds(1)], shard=0)
        assert set(await codes(crossing)) <= {None, "not_ready"}
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.run_for(60.0)
        assert scene.is_live(0)
        assert len(scene.sim.ledger.identifies) == 2
        assert scene.sim.ledger.resumes == []
        assert sum(1 for frame in scene.sim.ledger.frames if frame.size == len(wire(sounds(1)))) <= 1
        assert len(scene.notices("GWCLUSTER_SESSION_LOST")) == 1

    stage(tmp_path, play, violated={"not_authenticated"})


def test_f68_after_a_resumable_op_9_too_commands_wait_for_the_next_connection(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.op9(0, resumable=True)
        await scene.until(lambda: not scene.is_live(0))
        assert await codes(sending(scene, [sounds(1)], shard=0)) == [None]
        (resume,) = scene.sim.ledger.resumes
        (command,) = scene.sim.ledger.commands
        assert command.at >= resume.at
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)


def test_f68_while_the_connection_closes_nothing_is_sent_and_commands_wait(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.stall(0, writes=False)  # our close is not answered, which takes two seconds
        scene.sim.op9(0)
        await scene.run_for(0.5)
        waiting = sending(scene, [sounds(1), playing("chess")], shard=0)
        await scene.run_for(0.5)
        assert not any(task.done() for task in waiting)
        assert await codes(waiting) == [None, None]
        first, second = scene.sim.ledger.identifies
        assert all(command.at >= second.at for command in scene.sim.ledger.commands)
        assert {frame.link for frame in scene.sim.ledger.frames if frame.at > first.at + 0.1} == {second.link}

    stage(tmp_path, play)


def test_f68_a_4003_on_top_of_it_is_the_same_event(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.op9(0)
        scene.sim.close(0, 4003)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.live()
        await scene.run_for(30.0)
        assert len(scene.sim.ledger.identifies) == 2
        assert scene.is_live(0)

    stage(tmp_path, play)


def test_f83_f84_what_was_sent_before_4001_or_4002_is_not_sent_again(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for number, code in enumerate((4001, 4002), start=1):
            assert (await scene.send(sounds(number), shard=0)).code is None
            scene.sim.close(0, code)
            await scene.until(lambda: not scene.is_live(0))
            await scene.live()
            await scene.run_for(10.0)
        assert numbers(scene) == [1, 2]
        assert "close code 4002 came" in scene.story()

    stage(tmp_path, play)


def test_f89_after_4008_half_as_much_is_sent_in_a_minute(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.close(0, 4008)
        await scene.until(lambda: not scene.is_live(0))
        await scene.live()
        waiting = sending(scene, map(sounds, range(1, 101)), shard=0, ttl_s=200.0)
        await scene.run_for(30.0)
        assert len(numbers(scene)) == 54
        assert set(await codes(waiting)) == {None}
        assert most_in_60_s(scene) <= 60

    stage(tmp_path, play)


def test_f94_of_200_presences_in_10_s_few_are_sent_and_the_last_wins(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        waiting: list[asyncio.Task[CommandDone]] = []
        for number in range(200):
            waiting += sending(scene, [playing(str(number))], shard=0)
            await asyncio.sleep(0.05)
        assert set(await codes(waiting)) == {None}
        sent = [one.data["activities"][0]["name"] for one in scene.sim.ledger.commands]
        assert len(sent) == 4
        assert sent[-1] == "199"
        assert scene.sim.ledger.closes == []

    stage(tmp_path, play, presence_limit="close")


def test_f95_4097_bytes_are_refused_and_4096_pass(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        bare = (
            b'{"op":3,"d":{"since":null,"activities":[{"name":"","type":0}],"status":"online","afk":false}}'
        )
        name = "ü" * ((4096 - len(bare)) // 2) + "x" * ((4096 - len(bare)) % 2)
        done = await scene.send(playing(name + "x"), shard=0)
        assert (done.code, done.message) == ("too_large", "4097 bytes of JSON; Discord takes at most 4096")
        assert (await scene.send(playing(name), shard=0)).code is None
        await scene.settled()
        assert [frame.size for frame in scene.sim.ledger.frames if frame.size > 1000] == [4096]

    stage(tmp_path, play)


def test_f96_130_commands_with_beats_and_op_1_keep_to_120_in_any_60_s(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        waiting = sending(scene, map(sounds, range(1, 131)), shard=0, ttl_s=200.0)
        await scene.run_for(1.0)
        assert len(numbers(scene)) >= 110
        scene.sim.op1(0, times=3)
        await scene.run_for(90.0)
        assert await codes(waiting) == [None] * 130
        assert numbers(scene) == list(range(1, 131))
        assert most_in_60_s(scene) <= 120
        assert scene.sim.ledger.closes == []
        assert len(scene.sim.ledger.beats) >= 5

    stage(tmp_path, play)


def test_f97_after_a_reconnect_500_commands_are_paced_behind_the_handshake_and_stale_ones_dropped(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.refuse_upgrades(503, times=None)
        scene.sim.abort(0)
        await scene.until(lambda: not scene.is_live(0))
        stale = sending(scene, map(sounds, range(1, 251)), shard=0, ttl_s=20.0)
        fresh = sending(scene, map(sounds, range(251, 501)), shard=0, ttl_s=290.0)
        await scene.run_for(25.0)
        scene.sim.answer_dials()
        assert set(await codes(stale)) == {"not_ready"}
        assert set(await codes(fresh)) == {None}
        assert numbers(scene) == list(range(251, 501))
        (resume,) = scene.sim.ledger.resumes
        assert scene.sim.ledger.commands[0].at >= resume.at
        assert most_in_60_s(scene) <= 120

    stage(tmp_path, play, wrong_host_close_after_s=None, violated={"wrong_resume_host"})


def test_f98_rate_limited_is_the_answer_and_other_guilds_go_on(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.until(lambda: len(guilds(scene)) == 2)
        one, other = guilds(scene)
        assert (await scene.send(everybody(one), shard=0)).code is None
        again = await scene.send(everybody(one), shard=0)
        assert again.code == "rate_limited"
        assert again.retry_after_s is not None
        assert 25.0 < again.retry_after_s <= 30.0
        # A worker that was born since knows nothing of it. Discord does.
        scene.worker(0).kill()
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        objected = await scene.send(everybody(one, "again"), shard=0)
        assert objected.code == "rate_limited"
        assert objected.retry_after_s is not None
        assert 0.0 < objected.retry_after_s < 30.0
        assert (await scene.send(everybody(other), shard=0)).code is None
        assert len(scene.events("RATE_LIMITED")) == 1
        assert {json.loads(chunk.payload)["d"]["guild_id"] for chunk in scene.events("GUILD_MEMBERS_CHUNK")}
        assert [close.by for close in scene.sim.ledger.closes] == ["client"]
        await scene.run_for(objected.retry_after_s)
        assert (await scene.send(everybody(one), shard=0)).code is None

    stage(tmp_path, play)


def test_f99_a_nonce_of_33_bytes_is_refused_before_discord_could_ignore_it(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        done = await scene.send(everybody("1", "x" * 33), shard=0)
        assert done.code == "bad_request"
        assert "at most 32 bytes; these are 33" in done.message
        assert scene.sim.ledger.commands == []

    stage(tmp_path, play)


def test_f99_a_nonce_is_measured_in_bytes_and_32_of_them_come_back(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.until(lambda: len(guilds(scene)) == 2)
        guild = guilds(scene)[0]
        assert (await scene.send(everybody(guild, "ü" * 17), shard=0)).code == "bad_request"
        assert (await scene.send(everybody(guild, "ü" * 16), shard=0)).code is None
        await scene.settled()
        (chunk,) = scene.events("GUILD_MEMBERS_CHUNK")
        assert json.loads(chunk.payload)["d"]["nonce"] == "ü" * 16
        assert len(scene.sim.ledger.commands) == 1

    stage(tmp_path, play)


def test_f100_a_command_goes_to_the_shard_of_its_guild(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.until(lambda: all(guilds(scene, shard) for shard in range(3)))
        for shard in range(3):
            guild = guilds(scene, shard)[0]
            assert (int(guild) >> 22) % 3 == shard
            assert (await scene.send(voice(guild), guild_id=guild)).code is None
        await scene.settled()
        assert [command.shard for command in scene.sim.ledger.commands] == [0, 1, 2]

    stage(tmp_path, play, shards=3, guilds=6)


def test_f100_a_command_for_a_guild_of_a_shard_that_runs_elsewhere_goes_nowhere(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        guild = guilds(scene)[0]
        elsewhere = str(int(guild) + (1 << 22))
        done = await scene.send(voice(elsewhere), guild_id=elsewhere)
        assert done.code == "unknown_shard"
        assert "shard 1" in done.message
        assert (await scene.send(voice(guild), guild_id=int(guild))).code is None, "an integer will do"
        await scene.settled()
        (command,) = scene.sim.ledger.commands
        assert (command.shard, command.data["guild_id"]) == (0, guild)

    stage(tmp_path, play, config={"shards": {"ids": [0]}}, shards=2, guilds=6)


def test_f100_op_4_before_ready_waits_for_it(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.until(lambda: scene.sim.ledger.hellos)
        waiting = sending(scene, [voice("41771983423143937")], shard=0)
        await scene.live()
        assert await codes(waiting) == [None]
        (command,) = scene.sim.ledger.commands
        assert command.at >= scene.sim.ledger.identifies[0].at + 5.0

    stage(tmp_path, play, ready_delay_s=5.0)


def test_a_command_that_no_connection_takes_in_time_is_not_ready(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        waiting = sending(scene, [sounds(1)], shard=0, ttl_s=5.0)
        assert await codes(waiting) == ["not_ready"]
        assert scene.now < 8.0
        await scene.live()
        await scene.settled()
        assert numbers(scene) == []

    stage(tmp_path, play, ready_delay_s=20.0)


def test_a_worker_that_is_killed_leaves_no_caller_without_an_answer(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.refuse_upgrades(503, times=None)
        scene.sim.abort(0)
        await scene.until(lambda: not scene.is_live(0))
        waiting = sending(scene, map(sounds, range(1, 11)), shard=0)
        await asyncio.sleep(0.1)
        scene.worker(0).kill()
        assert set(await codes(waiting)) == {"not_ready"}
        scene.sim.answer_dials()
        await scene.live()
        await scene.run_for(40.0)
        assert numbers(scene) == []

    stage(tmp_path, play)
