"""When the gateway's address is asked for again, with a whole cluster on virtual time.

"Apps should cache this value and only call this endpoint to retrieve a new URL when they are unable to
properly establish a connection using the cached one."
https://docs.discord.com/developers/events/gateway#get-gateway
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from support.scene import Scene, stage


def moves(scene: Scene) -> None:
    """Let the gateway be somewhere else from now on, which the next answer of REST says."""
    scene.sim.swap_resume_host()
    limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
    answer = {"url": scene.sim.resume_url, "shards": 1, "session_start_limit": limit}
    scene.sim.rest_fault(status=200, body=json.dumps(answer))
    scene.sim.hang_dials(host="gateway", times=None)


def asked_at(scene: Scene) -> list[float]:
    return [call.at for call in scene.sim.ledger.rest_calls]


def test_a_shard_that_can_not_connect_for_two_minutes_has_the_address_asked_for_again(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        moves(scene)
        scene.sim.op9(0)
        await scene.until(lambda: not scene.is_live(0))
        at = scene.loop.time()
        await scene.live(within_s=240.0)
        _, second = asked_at(scene)
        assert 120.0 <= second - at <= 125.0
        assert scene.sim.ledger.connections[-1].host == "resume-2"
        assert len(scene.sim.ledger.identifies) == 2

    stage(tmp_path, play)


def test_while_the_gateway_is_away_its_address_is_asked_for_every_two_minutes_at_most(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.hang_dials(times=None)
        await scene.start()
        await scene.run_for(900.0)
        asked = asked_at(scene)
        assert 6 <= len(asked) <= 8
        assert min(later - earlier for earlier, later in pairwise(asked)) >= 120.0
        scene.sim.answer_dials()
        await scene.live()
        asked = asked_at(scene)
        await scene.run_for(600.0)
        assert asked_at(scene) == asked, "nobody asks as long as the address serves"

    stage(tmp_path, play, start=False)


def test_a_session_is_resumed_where_the_gateway_is_now_if_its_own_host_is_gone_too(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.stop()
        moves(scene)
        scene.sim.hang_dials(host="resume", times=None)
        await scene.start()
        await scene.live(within_s=30.0)
        (resume,) = scene.sim.ledger.resumes
        assert (resume.host, resume.outcome) == ("resume-2", "resumed")
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)
