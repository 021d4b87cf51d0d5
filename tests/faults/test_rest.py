"""F01 to F10: what /gateway/bot may answer, and what a cluster makes of it."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gwcluster.discord import gateway_url
from gwcluster.identify.gateway_info import parse
from gwcluster.wire.exits import Exit
from support.scene import Scene, stage

HOUR_S = 3600.0
HTML = "<!DOCTYPE html><title>Access denied | discord.com used Cloudflare to restrict access</title>"


def asked_at(scene: Scene) -> list[float]:
    """Return when REST was asked."""
    return [call.at for call in scene.sim.ledger.rest_calls]


def body(scene: Scene, *, without: str = "", **changed: Any) -> str:
    """Return what /gateway/bot says, with other values in it."""
    settings = scene.sim.settings
    limit = {
        "total": 1000,
        "remaining": 1000,
        "reset_after": 86_400_000,
        "max_concurrency": settings.max_concurrency,
    }
    limit |= {key: changed.pop(key) for key in list(changed) if key in limit}
    limit.pop(without, None)
    answer = {"url": scene.sim.gateway_url, "shards": settings.shards, "session_start_limit": limit}
    return json.dumps(answer | changed)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        pytest.param(401, '{"message": "401: Unauthorized", "code": 0}', id="f01"),
        pytest.param(403, HTML, id="f02"),
    ],
)
def test_f01_f02_a_bot_that_is_refused_asks_once_dials_nothing_and_exits_with_64(
    tmp_path: Path, status: int, text: str
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(status=status, body=text)
        await scene.start()
        assert await scene.ended() == Exit.REFUSED
        await scene.run_for(HOUR_S)

    scene = stage(tmp_path, play, start=False)
    assert len(scene.sim.ledger.rest_calls) == 1
    assert scene.sim.ledger.connections == []
    (line,) = [record.getMessage() for record in scene.said if record.levelname == "ERROR"]
    assert f"(status {status})" in line
    assert "Traceback" not in scene.story()


def test_f01_a_token_that_is_refused_later_ends_the_asking_and_not_the_sessions(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live(0)
        await scene.until(lambda: 1 in scene.gate.waiting)
        scene.sim.rest_fault(status=401)
        await scene.until(lambda: scene.crew.supervisor.refused, within_s=1000.0)
        await scene.until(lambda: scene.crew.board.views[1].state == "failed", within_s=5.0)
        await scene.run_for(HOUR_S)
        assert len(asked_at(scene)) == 2
        assert scene.is_live(0)
        assert [dial.host for dial in scene.sim.ledger.connections].count("gateway") == 2

    scene = stage(tmp_path, play, identifies_used=899, shards=2)
    assert len(scene.sim.ledger.identifies) == 1


def test_f03_a_retry_after_in_the_body_is_seconds(tmp_path: Path) -> None:
    # "retry_after: float: The number of seconds to wait before submitting another request"
    # https://docs.discord.com/developers/topics/rate-limits#exceeding-a-rate-limit-rate-limit-response-structure
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(
            status=429, body='{"message": "You are being rate limited.", "retry_after": 1.5, "global": false}'
        )
        await scene.start()
        await scene.until(lambda: len(asked_at(scene)) == 2)
        first, second = asked_at(scene)
        assert 1.5 <= second - first <= 2.1

    stage(tmp_path, play, start=False)


def test_f04_a_ban_of_a_day_is_waited_out_over_restarts(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(status=429, headers={"Retry-After": "82721"})
        for _ in range(5):  # something starts it again and again
            starting = asyncio.create_task(scene.start())
            await scene.run_for(HOUR_S)
            await scene.kill()
            await asyncio.gather(starting, return_exceptions=True)
        assert len(asked_at(scene)) == 1
        await scene.start()
        first, second = asked_at(scene)
        assert 82_721.0 <= second - first <= 82_722.0
        await scene.live()

    stage(tmp_path, play, start=False)


def test_f04_a_ban_of_a_day_leaves_live_shards_alone(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.rest_fault(status=429, headers={"Retry-After": "82721"})
        for _ in range(8):
            await scene.run_for(500.0)
            assert scene.is_live(0)
            scene.sim.emit_random(0)
        assert len(asked_at(scene)) == 2

    scene = stage(tmp_path, play, identifies_used=899)
    assert len(scene.sim.ledger.connections) == 1


def test_f04_sessions_are_resumed_during_a_ban_and_rest_is_not_asked_again(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(60.0)
        await scene.stop()
        scene.sim.rest_fault(status=429, headers={"Retry-After": "82721"})
        for _ in range(2):
            await scene.start()
            await scene.live(within_s=5.0)
            await scene.run_for(60.0)
            await scene.stop()
        assert len(asked_at(scene)) == 2
        assert [resume.outcome for resume in scene.sim.ledger.resumes] == ["resumed"] * 6

    scene = stage(tmp_path, play, shards=3, max_concurrency=3)
    assert len(scene.sim.ledger.identifies) == 3


def test_f04_a_shard_without_a_session_waits_for_rest_while_the_others_resume(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(60.0)
        await scene.stop()
        (tmp_path / "state" / "shards" / "1" / "session.json").unlink()
        scene.sim.rest_fault(status=429, headers={"Retry-After": "300"})
        await scene.start()
        await scene.live(0, 2, within_s=5.0)
        await scene.run_for(290.0)
        assert len(scene.sim.ledger.identifies) == len(scene.sim.ledger.connections) - 2 == 3
        await scene.live(within_s=20.0)
        assert len(scene.sim.ledger.identifies) == 4
        assert [call.status for call in scene.sim.ledger.rest_calls] == [200, 429, 200]
        assert scene.story("resume without waiting").endswith(
            "2 of 3 shards resume without waiting for Discord"
        )

    stage(tmp_path, play, shards=3, max_concurrency=3)


def test_f04_a_session_that_is_lost_during_a_ban_waits_for_rest_too(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.run_for(60.0)
        await scene.stop()
        scene.sim.forget_session(0)
        scene.sim.rest_fault(status=429, headers={"Retry-After": "300"})
        await scene.start()
        await scene.live(1, within_s=5.0)
        await scene.run_for(290.0)
        assert len(scene.sim.ledger.identifies) == 2
        await scene.live(within_s=20.0)

    stage(tmp_path, play, shards=2, max_concurrency=2)


def test_f05_an_outage_of_rest_is_asked_through_with_growing_delay(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(status=500)
        scene.sim.rest_fault(status=502, body=HTML)
        scene.sim.rest_fault(status=0, times=2)  # aiohttp tries a cut connection twice
        await scene.start()
        await scene.live()
        first, second, third, again, fourth = asked_at(scene)
        waits = [second - first, third - second, fourth - third]
        assert again - third < 0.1
        for (shorter, longer), least in zip(pairwise(waits), (1.0, 2.0), strict=True):
            assert longer > max(least, shorter * 0.99)
        assert waits[0] >= 0.5

    stage(tmp_path, play, start=False)


def test_f06_three_left_for_eight_shards_start_none_and_wait_for_the_reset_in_milliseconds(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(status=200, body=body(scene, remaining=3, reset_after=60_000))
        await scene.start()
        await scene.run_for(55.0)
        assert scene.sim.ledger.identifies == []
        assert len(asked_at(scene)) == 1
        assert scene.story("kept in reserve", "until Discord's reset").count("3 of 1000") >= 1
        await scene.live()
        assert scene.now < 75.0

    stage(tmp_path, play, start=False, expect={"rest_calls": 2}, shards=8, max_concurrency=8)


def test_f06_what_may_be_spent_is_spent_in_order_and_the_rest_waits(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(status=200, body=body(scene, remaining=103, reset_after=120_000))
        await scene.start()
        await scene.live(0, 1, 2)
        await scene.run_for(60.0)
        assert [identify.shard for identify in scene.sim.ledger.identifies] == [0, 1, 2]
        await scene.live(within_s=300.0)

    stage(tmp_path, play, start=False, shards=8)


def test_f07_nothing_left_and_a_reset_right_now_is_asked_again_without_a_spin(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        used_up = body(scene, remaining=0, reset_after=0)
        scene.sim.rest_fault(status=200, body=used_up, times=4)
        await scene.start()
        await scene.live()
        assert len(asked_at(scene)) == 5
        assert min(later - earlier for earlier, later in pairwise(asked_at(scene))) >= 5.0

    stage(tmp_path, play, start=False, expect={"rest_calls": 5})


@pytest.mark.parametrize("how", ["zero", "missing", "negative", "text"])
def test_f08_a_max_concurrency_that_makes_no_sense_is_1(tmp_path: Path, how: str) -> None:
    async def play(scene: Scene) -> None:
        values: dict[str, Any] = {"zero": 0, "negative": -4, "text": "16"}
        text = body(scene, without="max_concurrency") if how == "missing" else None
        scene.sim.rest_fault(status=200, body=text or body(scene, max_concurrency=values[how]))
        await scene.start()
        await scene.live()
        moments = [identify.at for identify in scene.sim.ledger.identifies]
        assert min(later - earlier for earlier, later in pairwise(moments)) >= 5.0

    stage(tmp_path, play, start=False, shards=4, max_concurrency=1)


@pytest.mark.parametrize(
    "tail", ["", "/", "/?v=10", "?v=6&encoding=etf&x=1", "/some/path/", "/some/path?x=1"]
)
def test_f09_whatever_follows_the_gateways_host_becomes_one_correct_address(
    tmp_path: Path, tail: str
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(status=200, body=body(scene, url=scene.sim.gateway_url.rstrip("/") + tail))
        await scene.start()
        await scene.live()
        (connection,) = scene.sim.ledger.connections
        expected = {"v": "10", "encoding": "json", "compress": "zlib-stream"}
        assert connection.query == (expected | {"x": "1"} if "x=1" in tail else expected)

    stage(tmp_path, play, start=False)


def test_f09_discords_own_address_gets_exactly_one_slash_and_one_query() -> None:
    for url in ("wss://gateway.discord.gg", "wss://gateway.discord.gg/"):
        answer = {
            "url": url,
            "shards": 1,
            "session_start_limit": {"total": 1, "remaining": 1, "reset_after": 0, "max_concurrency": 1},
        }
        info = parse(json.dumps(answer).encode(), loopback_ok=False)
        dialed = gateway_url(info.url, "zstd-stream", plain_ok=False)
        assert dialed == "wss://gateway.discord.gg/?v=10&encoding=json&compress=zstd-stream"


@pytest.mark.parametrize("shards", [2, 0, 64])
def test_f10_another_recommendation_on_a_refetch_changes_nothing_that_runs(
    tmp_path: Path, shards: int
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.rest_fault(status=200, body=body(scene, remaining=104, reset_after=60_000))
        await scene.start()
        await scene.live()
        scene.sim.rest_fault(status=200, body=body(scene, shards=shards))
        await scene.run_for(120.0)
        assert len(asked_at(scene)) >= 2
        assert list(scene.crew.board.views) == [0, 1, 2, 3]
        assert all(scene.is_live(shard) for shard in range(4))

    scene = stage(tmp_path, play, start=False, expect={"rest_calls": 3}, shards=4, max_concurrency=4)
    assert scene.sim.ledger.closes == [] or all(close.code != 1000 for close in scene.sim.ledger.closes)
    assert len(scene.sim.ledger.identifies) == 4
