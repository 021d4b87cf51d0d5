"""F82 to F93 and their neighbours: what follows each close code that lets a shard come again.

Codes: https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes.
Whether a session outlives its close is documented for few of them, so where a code leaves it open, both are
played: the simulator keeps the session or forgets it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.happenings import emit
from support.scene import Scene, stage

FORGETFUL = frozenset({1000, 1001, 4000, 4001, 4002, 4003, 4005, 4006, 4007, 4008, 4009, 4015, 4999})
"""Codes after which the session is gone, on a gateway that forgets it whenever it may."""

KEEPS: dict[str, Any] = {"ending_codes": frozenset()}
FORGETS: dict[str, Any] = {"ending_codes": FORGETFUL}


def dials(scene: Scene) -> list[float]:
    return [one.at for one in scene.sim.ledger.connections]


async def lose(scene: Scene, code: int | None, shard: int = 0) -> float:
    """End a shard's connection, let five events happen meanwhile; return when that was."""
    at = scene.loop.time()
    if code is None:
        scene.sim.abort(shard)
    elif code == 1005:
        scene.sim.send_frames(shard, b"\x88\x00")  # a close frame that names no code
    else:
        scene.sim.close(shard, code)
    emit(scene, 5, shard)
    await scene.until(lambda: not scene.is_live(shard))
    return at


# Codes that say nothing against the session: it is resumed, whether or not Discord still has it


@pytest.mark.parametrize(
    "code",
    [
        *(None, 1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1011, 1012, 1013, 1014),
        *(3000, 3999, 4000, 4002, 4015, 4016, 4999),
    ],
)
def test_f82_f84_f92_after_this_close_the_session_goes_on_within_a_second(
    tmp_path: Path, code: int | None
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 7)
        await scene.settled()
        at = await lose(scene, code)
        await scene.live()
        (resume,) = scene.sim.ledger.resumes
        assert (resume.seq, resume.outcome, resume.host) == (10, "resumed", "resume")
        assert len(dials(scene)) == 2
        assert dials(scene)[1] - at < 1.05
        assert len(scene.sim.ledger.identifies) == 1
        assert scene.seqs() == list(range(1, 17)), "3 of the start, 7, 5 that were missed, RESUMED"
        assert scene.notices("GWCLUSTER_SESSION_LOST") == []

    stage(tmp_path, play, **KEEPS)


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4002, 4015, 4999])
def test_f82_f84_f92_if_that_session_is_gone_one_resume_finds_out(tmp_path: Path, code: int) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await lose(scene, code)
        await scene.live()
        await scene.run_for(300.0)
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["op9"]
        assert [one.outcome for one in scene.sim.ledger.identifies] == ["ready", "ready"]
        assert len(scene.notices("GWCLUSTER_SESSION_LOST")) == 1

    stage(tmp_path, play, **FORGETS)


def test_1015_a_tls_handshake_that_fails_is_a_failed_dial_and_costs_nothing(tmp_path: Path) -> None:
    # 1015 is never on the wire: it stands for a TLS handshake that failed.
    async def play(scene: Scene) -> None:
        url = scene.sim.gateway_url.replace("ws://", "wss://", 1)  # where nobody speaks TLS
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
        body = json.dumps({"url": url, "shards": 1, "session_start_limit": limit})
        scene.sim.rest_fault(status=200, body=body, times=None)
        await scene.start()
        await scene.run_for(600.0)
        attempts = scene.story("no connection: ").splitlines()
        assert 10 <= len(attempts) <= 60, "backed off to half a minute on average"
        assert scene.sim.ledger.connections == []
        assert scene.sim.ledger.identifies == []
        scene.sim.answer_rest()
        await scene.stop()
        await scene.start()
        await scene.live()
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, start=False)


def test_1009_of_our_own_a_message_that_is_too_big_is_not_asked_for_for_ever(tmp_path: Path) -> None:
    # The bound is far above the largest message ever seen, so what exceeds it is no event to wait for.
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 7)
        await scene.settled()
        header = b"\x82\x7f" + (1 << 30).to_bytes(8, "big")
        scene.sim.send_frames(0, header)
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert scene.sim.ledger.resumes[0].seq == 10
        assert "a message of more than 64 MiB" in scene.story("WARNING")
        scene.sim.refuse_resume("silent", times=None)
        scene.sim.abort(0)
        for _ in range(3):
            before = len(scene.sim.ledger.resumes)
            await scene.until(lambda before=before: len(scene.sim.ledger.resumes) > before)  # type: ignore[misc]
            await scene.settled()
            scene.sim.send_frames(None, header)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        assert len(scene.sim.ledger.resumes) == 4, "one that went well, three that met the message again"

    stage(tmp_path, play)


# Codes after which the session is gone, or not worth a try


@pytest.mark.parametrize("knobs", [KEEPS, FORGETS], ids=["kept", "forgotten"])
@pytest.mark.parametrize("code", [4001, 4003, 4006, 4007, 4009])
def test_f83_f85_f88_after_this_close_a_new_session_is_needed(
    tmp_path: Path, code: int, knobs: dict[str, Any]
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 7)
        await scene.settled()
        at = await lose(scene, code)
        await scene.live()
        assert scene.sim.ledger.resumes == []
        assert [one.outcome for one in scene.sim.ledger.identifies] == ["ready", "ready"]
        assert scene.sim.ledger.connections[1].host == "gateway"
        assert 1.0 <= dials(scene)[1] - at < 5.05
        (lost,) = scene.notices("GWCLUSTER_SESSION_LOST")
        assert (lost["session"], lost["last_seq"]) == (1, 10)
        assert str(code) in lost["reason"]
        assert scene.seqs()[10:] == [1, 2, 3]
        await scene.run_for(600.0)
        assert len(dials(scene)) == 2

    stage(tmp_path, play, **knobs)


def sounds(guild: str) -> dict[str, Any]:
    return {"op": 31, "d": {"guild_ids": [guild]}}


@pytest.mark.parametrize("code", [4001, 4002])
def test_f83_f84_what_was_sent_before_this_close_is_not_sent_again(tmp_path: Path, code: int) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.send(sounds("1"), shard=0)
        await lose(scene, code)
        await scene.live()
        await scene.run_for(120.0)
        assert len(scene.sim.ledger.commands) == 1
        assert f"close code {code} came" in scene.story("WARNING"), "a bug of a bot's is said"
        await scene.send(sounds("2"), shard=0)
        assert [one.data["guild_ids"] for one in scene.sim.ledger.commands] == [["1"], ["2"]]

    stage(tmp_path, play, **KEEPS)


@pytest.mark.parametrize("knobs", [KEEPS, FORGETS], ids=["kept", "forgotten"])
def test_f87_4005_is_resumed_once_and_if_it_comes_again_a_new_session_is_needed(
    tmp_path: Path, knobs: dict[str, Any]
) -> None:
    kept = knobs is KEEPS

    async def play(scene: Scene) -> None:
        await scene.live()
        at = await lose(scene, 4005)
        await scene.live()
        assert 1.0 <= dials(scene)[1] - at < 5.05
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed" if kept else "op9"]
        assert len(scene.sim.ledger.identifies) == (1 if kept else 2)
        await lose(scene, 4005)
        await scene.live()
        again = scene.sim.ledger.resumes[1:]
        assert [one.outcome for one in again] == ([] if kept else ["op9"]), (
            "a new session has a try of its own"
        )
        assert len(scene.sim.ledger.identifies) == (2 if kept else 3)
        assert "4005 already authenticated" in scene.story("WARNING")

    stage(tmp_path, play, **knobs)


@pytest.mark.parametrize("knobs", [KEEPS, FORGETS], ids=["kept", "forgotten"])
def test_f89_after_4008_there_is_a_pause_and_for_ten_minutes_half_the_limit(
    tmp_path: Path, knobs: dict[str, Any]
) -> None:
    # "Apps that surpass the limit are immediately disconnected ... repeat offenders will have their API
    # access revoked": https://docs.discord.com/developers/events/gateway#rate-limiting
    async def play(scene: Scene) -> None:
        await scene.live()
        at = await lose(scene, 4008)
        await scene.live()
        assert dials(scene)[1] - at >= 5.0
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed" if knobs is KEEPS else "op9"]
        assert len(scene.sim.ledger.identifies) == (1 if knobs is KEEPS else 2)
        began = scene.loop.time()
        first = await sent_within(scene, 59.0, of=119)
        assert 40 <= first < 60
        await scene.run_for(660.0 - (scene.loop.time() - began))
        second = await sent_within(scene, 59.0, of=119)
        assert 100 < second < 120

    stage(tmp_path, play, **knobs)


async def sent_within(scene: Scene, seconds: float, *, of: int) -> int:
    """Ask for so many commands at once; return how many of them were sent in time."""
    before = len(scene.sim.ledger.commands)
    asking = [
        scene.loop.create_task(scene.send(sounds(str(number + 1)), shard=0, ttl_s=seconds))
        for number in range(of)
    ]
    await scene.run_for(seconds)
    for task in asking:
        await task
    return len(scene.sim.ledger.commands) - before


# The same code again and again


def test_f93_4000_on_every_connection_for_an_hour_costs_no_identify(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.close_after(0.0, 4000)
        scene.sim.close(0, 4000)
        await scene.run_for(3600.0)
        scene.sim.accept()
        await scene.live()
        assert {one.outcome for one in scene.sim.ledger.resumes} == {"resumed"}
        assert 60 <= len(scene.sim.ledger.resumes) <= 180, "half a minute apart on average"
        assert len(scene.sim.ledger.identifies) == 1
        assert scene.notices("GWCLUSTER_SESSION_LOST") == []

    stage(tmp_path, play)


@pytest.mark.parametrize("code", [1001, 1012, 4000])
def test_f93_a_resume_that_is_sent_away_each_time_is_tried_for_ten_minutes(tmp_path: Path, code: int) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.refuse_resume(code, times=None)
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2, within_s=900.0)
        first, *_, last = [one.at for one in scene.sim.ledger.resumes]
        assert 600.0 <= scene.sim.ledger.identifies[1].at - first < 700.0
        assert last - first < 661.0
        assert 10 <= len(scene.sim.ledger.resumes) <= 60

    stage(tmp_path, play, session_ttl_s=900.0)


@pytest.mark.parametrize("code", [3999, 4015, 4999])
def test_f92_a_code_that_nobody_knows_is_resumed_three_times_in_a_row_and_no_more(
    tmp_path: Path, code: int
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.close_after(0.0, code)
        scene.sim.close(0, code)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"] * 3
        scene.sim.accept()
        await scene.live()
        (lost,) = scene.notices("GWCLUSTER_SESSION_LOST")
        assert f"closed with {code} 4 times in a row" in lost["reason"]
        assert f"{code} undocumented" in scene.story("WARNING")

    stage(tmp_path, play)
