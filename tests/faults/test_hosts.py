"""F18, and F13 of hosts: resume addresses that are dead, and what shards tell each other of them.

"If ... the reconnect fails, you should open a new connection using the URL from the initial call": a dead
host must cost neither sessions nor identifies, must not be tried for ever, and one shard's finding serves
all. But an outage of our own network says nothing of any host.
https://docs.discord.com/developers/events/gateway#handling-a-disconnect
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.scene import Scene, stage

SHARDS = 8
SHUN_S = 600.0
HELLO_S = 20.0
AT_REST_HOST = {"wrong_resume_host"}
"""Where the resume host is of no use, the other one is asked, which the simulator notes."""


def dials(scene: Scene, host: str) -> int:
    """Return how often a host was dialed, whether it answered or not."""
    url = scene.sim.resume_url if host == "resume" else "the gateway"
    said = [record.getMessage() for record in scene.said]
    return sum(1 for one in said if one.startswith("connecting") and f" at {url}," in one)


EIGHT: dict[str, Any] = {
    "shards": SHARDS,
    "guilds": SHARDS,
    "max_concurrency": SHARDS,
    "wrong_host_close_after_s": None,
}

Way = Callable[[Scene], None]

WAYS: dict[str, Way] = {
    "refuses": lambda scene: scene.sim.resume_host_down(),
    "resets": lambda scene: scene.sim.reset_dials(host="resume", times=None),
    "hangs": lambda scene: scene.sim.hang_dials(host="resume", times=None),
    "upgrades and is silent": lambda scene: scene.sim.silence_dials(host="resume", times=None),
    "says half a Hello": lambda scene: scene.sim.greet("half", host="resume", times=None),
}
EACH_WAY = pytest.mark.parametrize("die", WAYS.values(), ids=WAYS)


@EACH_WAY
def test_f18_a_dead_resume_host_is_left_for_the_other_at_once_and_the_session_lives(
    tmp_path: Path, die: Way
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        die(scene)
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert (resume.host, resume.seq, resume.outcome) == ("gateway", 3, "resumed")
        assert dials(scene, "resume") == 1, "one dial is enough to know"
        await scene.run_for(200.0)
        assert dials(scene, "resume") == 1, "though Discord asked to come again each minute"
        assert len(scene.sim.ledger.resumes) >= 3
        assert {one.outcome for one in scene.sim.ledger.resumes} == {"resumed"}
        assert len(scene.sim.ledger.identifies) == 1
        assert scene.notices("GWCLUSTER_SESSION_LOST") == []

    # A session that lives on the host of REST is asked to move every minute; it has nowhere to go.
    stage(tmp_path, play, violated=AT_REST_HOST)


def test_f18_after_ten_minutes_a_host_gets_another_chance(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.resume_host_down()
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)
        scene.sim.resume_host_down(False)
        await scene.run_for(SHUN_S)
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2)
        await scene.live()
        assert [one.host for one in scene.sim.ledger.resumes] == ["gateway", "resume"]
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated=AT_REST_HOST, wrong_host_close_after_s=None)


@EACH_WAY
def test_f18_what_one_shard_learned_of_a_host_the_others_do_not_learn_again(tmp_path: Path, die: Way) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        die(scene)
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        for shard in range(1, SHARDS):
            scene.sim.abort(shard)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == SHARDS, within_s=5.0)
        await scene.live()
        assert dials(scene, "resume") == 1
        told = f"no shard dials {scene.sim.resume_url} for 10 minutes: it failed shard 0"
        assert scene.story(told) == f"WARNING {told}", "said once, and why"
        assert {one.host for one in scene.sim.ledger.resumes} == {"gateway"}
        assert len(scene.sim.ledger.identifies) == SHARDS

    stage(tmp_path, play, violated=AT_REST_HOST, **EIGHT)


def test_f18_what_one_shard_learned_holds_for_all_for_ten_minutes_and_not_longer(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.resume_host_down()
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)
        scene.sim.resume_host_down(False)
        await scene.run_for(SHUN_S - 15.0)
        scene.sim.abort(1)
        await scene.run_for(30.0)
        scene.sim.abort(2)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 3)
        assert [one.host for one in scene.sim.ledger.resumes] == ["gateway", "gateway", "resume"]

    stage(tmp_path, play, violated=AT_REST_HOST, shards=3, max_concurrency=3, wrong_host_close_after_s=None)


def test_f18_a_worker_that_starts_later_is_told_too(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.resume_host_down()
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)
        scene.worker(1).kill()
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2)
        await scene.live()
        assert dials(scene, "resume") == 1

    stage(tmp_path, play, violated=AT_REST_HOST, shards=2, wrong_host_close_after_s=None)


def test_f18_a_host_that_takes_a_resume_and_never_answers_is_left_after_a_minute(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.refuse_resume("silent")
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2)
        await scene.live()
        first, second = scene.sim.ledger.resumes
        assert (first.host, second.host, second.outcome) == ("resume", "gateway", "resumed")
        assert 60.0 <= second.at - first.at <= 61.1
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated=AT_REST_HOST)


def test_f18_shards_that_meet_a_dead_host_all_at_once_dial_it_once_each(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.silence_dials(host="resume", times=None)
        at = scene.loop.time()
        scene.sim.abort(None)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == SHARDS)
        await scene.live()
        await scene.run_for(120.0)
        assert dials(scene, "resume") == SHARDS
        assert max(one.at for one in scene.sim.ledger.resumes) - at <= HELLO_S + 3.1
        assert len(scene.sim.ledger.resumes) == SHARDS
        assert len(scene.sim.ledger.identifies) == SHARDS

    stage(
        tmp_path,
        play,
        violated=AT_REST_HOST,
        **EIGHT,
    )


@pytest.mark.parametrize("outage_s", [30.0, 45.0, 61.0])
@pytest.mark.parametrize("silent", [False, True], ids=["refused", "unanswered"])
def test_f18_an_outage_of_our_own_network_makes_nobody_shun_anybody(
    tmp_path: Path, silent: bool, outage_s: float
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        if silent:
            scene.sim.hang_dials(times=None)
        else:
            scene.sim.host_down("gateway")
            scene.sim.host_down("resume")
        scene.sim.abort(None)
        await scene.run_for(outage_s)
        assert dials(scene, "gateway") > SHARDS, "both were tried"
        scene.sim.answer_dials()
        scene.sim.host_down("gateway", False)
        scene.sim.host_down("resume", False)
        await scene.live(within_s=90.0)
        assert len(scene.sim.ledger.resumes) == SHARDS
        scene.sim.abort(None)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2 * SHARDS)
        assert [one.host for one in scene.sim.ledger.resumes[SHARDS:]] == ["resume"] * SHARDS
        assert len(scene.sim.ledger.identifies) == SHARDS

    stage(
        tmp_path,
        play,
        violated=AT_REST_HOST,  # the first to answer after the outage is as good as any
        session_ttl_s=900.0,
        **EIGHT,
    )


def test_f18_while_both_hosts_are_down_they_take_turns_without_end_or_haste(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.host_down("gateway")
        scene.sim.host_down("resume")
        scene.sim.abort(0)
        await scene.run_for(600.0)
        at_resume, at_gateway = dials(scene, "resume"), dials(scene, "gateway") - 1
        assert abs(at_resume - at_gateway) <= 1
        assert 15 <= at_resume + at_gateway <= 35
        scene.sim.host_down("gateway", False)
        await scene.live()
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"]
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated=AT_REST_HOST, session_ttl_s=900.0)
