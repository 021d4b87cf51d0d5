"""F64 and F67 to F70: op 7 and op 9, by which Discord asks a shard to come again or ends its session.

What they mean: https://docs.discord.com/developers/events/gateway-events#reconnect and #invalid-session.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gwcluster.wire.control import Command
from gwworker.effects import Dial
from gwworker.events import Lost, Tick
from gwworker.phases import Phase
from gwworker.scan import InvalidSession, Reconnect
from support.happenings import emit
from support.scene import Scene, stage
from support.session_rig import NEW_RESUME_URL, Rig

# Op 9


def test_f64_op_9_true_is_followed_by_a_resume_on_a_new_connection_after_1_to_5_s(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        at = scene.loop.time()
        scene.sim.op9(0, resumable=True)
        emit(scene, 5)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert 1.0 <= resume.at - at <= 5.1
        assert (resume.seq, resume.outcome) == (3, "resumed")
        assert len(scene.sim.ledger.connections) == 2
        assert [one.code for one in scene.sim.ledger.closes if one.by == "client"] == [4900]
        assert scene.seqs() == list(range(1, 10))
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)


NOT_TRUE: dict[str, dict[str, Any]] = {
    "false": {},
    "left out": {"without_d": True},
    "null": {"d": None},
    "one": {"d": 1},
    "text": {"d": "true"},
    "object": {"d": {"resumable": True}},
}


@pytest.mark.parametrize("how", NOT_TRUE.values(), ids=NOT_TRUE)
def test_f64_op_9_that_does_not_say_true_says_false(tmp_path: Path, how: dict[str, Any]) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        at = scene.loop.time()
        scene.sim.op9(0, **how)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.live()
        first, second = scene.sim.ledger.identifies
        assert second.at - at >= 1.0
        assert second.link != first.link, "never on the same connection"
        assert scene.sim.ledger.resumes == []
        (lost,) = scene.notices("GWCLUSTER_SESSION_LOST")
        assert (lost["session"], lost["last_seq"]) == (1, 3)
        assert [one.code for one in scene.sim.ledger.closes if one.by == "client"] == [4900]

    stage(tmp_path, play)


@pytest.mark.parametrize("resumable", [True, False])
def test_f68_a_command_that_crossed_op_9_and_the_4003_for_it_are_one_event(
    tmp_path: Path, resumable: bool
) -> None:
    # After op 9 the connection has no session, and a command on it is closed with 4003.
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.op9(0, resumable=resumable)
        drive = scene.worker(0).drive
        assert drive is not None
        drive.heard(Command(7, 31, {"guild_ids": ["1"]}, None))  # before it reads op 9
        await scene.until(lambda: scene.sim.ledger.violations)
        await scene.until(lambda: len(scene.sim.ledger.connections) == 2)
        await scene.live()
        await scene.run_for(60.0)
        (close,) = [one for one in scene.sim.ledger.closes if one.by == "server"]
        assert close.code == 4003
        assert len(scene.sim.ledger.resumes) == (1 if resumable else 0), "4003 alone would end the session"
        assert len(scene.sim.ledger.identifies) == (1 if resumable else 2)
        assert len(scene.notices("GWCLUSTER_SESSION_LOST")) == (0 if resumable else 1)
        assert len(scene.sim.ledger.connections) == 2
        assert scene.sim.ledger.commands == [], "what Discord refused is not sent again"

    stage(tmp_path, play, violated={"not_authenticated"})


def test_f68_a_close_code_of_a_connection_that_we_are_leaving_is_no_news() -> None:
    rig = Rig().live()
    session_id = rig.session.standing.known
    rig.do(InvalidSession(resumable=True))
    rig.lose(4003)
    assert rig.session.standing.known == session_id is not None
    assert rig.redial() == Dial(NEW_RESUME_URL)


@pytest.mark.parametrize("resumable", [True, False])
def test_f68_a_command_after_op_9_waits_for_the_next_connection(tmp_path: Path, resumable: bool) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.op9(0, resumable=resumable)
        scene.sim.stall(0, writes=False)  # so that our close is not answered, and the connection stays
        await scene.until(lambda: not scene.is_live(0))
        assert scene.sim.ledger.closes == []
        done = await scene.send({"op": 31, "d": {"guild_ids": ["1"]}}, shard=0)
        assert done.code is None
        await scene.settled()
        (command,) = scene.sim.ledger.commands
        assert command.link == scene.sim.ledger.connections[1].link

    stage(tmp_path, play)


# Op 7


@pytest.mark.parametrize("close_after_s", [0.05, 1.0, 1.99, 2.01, 2.5, 10.0])
def test_f69_op_7_and_the_close_that_comes_after_it_are_one_reconnect(
    tmp_path: Path, close_after_s: float
) -> None:
    # The gateway reads nothing more, so our close is not answered: it is waited for 2 s, then we dial.
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.op7(0)
        await scene.settled() if close_after_s > 1.0 else None
        scene.sim.stall(0, writes=False)
        emit(scene, 5)
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        await scene.run_for(30.0)
        assert len(scene.sim.ledger.connections) == 2
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"]
        assert len(scene.sim.ledger.identifies) == 1
        assert scene.seqs() == list(range(1, 10))

    stage(tmp_path, play, reconnect_close_after_s=close_after_s)


def test_f69_a_close_of_the_old_connection_does_not_end_the_next(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        at = scene.loop.time()
        scene.sim.op7(0)
        scene.sim.stall(0, writes=False)
        scene.sim.greet("silent", host="resume")
        await scene.until(lambda: len(scene.sim.ledger.connections) == 2)
        await scene.settled()
        scene.sim.send_frames(0, b"\x88\x02\x03\xe9")  # 1001, on the old one
        await scene.until(lambda: scene.sim.ledger.resumes)
        _, second, third = [one.at - at for one in scene.sim.ledger.connections]
        assert 2.0 <= second < 2.1
        assert third - second >= 20.0, "the time that Hello may take"
        await scene.live()

    # No Hello in time is reason to try the other host.
    stage(tmp_path, play, reconnect_close_after_s=30.0, violated={"wrong_resume_host"})


def test_f69_a_close_of_the_old_connection_while_the_next_is_dialed_is_no_news() -> None:
    rig = Rig(jitter=0.5).live().forget_log()
    rig.do(Reconnect())
    rig.now += 2.0
    rig.do(Tick())
    rig.dialing()
    rig.now += 0.5
    assert rig.do(Lost(1001)) == []
    assert rig.phase is Phase.DIALING
    assert len(rig.all(Dial)) == 1


@pytest.mark.parametrize("storm_s", [0.0, 1.0], ids=["at once", "within a second"])
def test_f70_a_storm_of_op_7_is_64_resumes_spread_over_two_seconds_and_no_identify(
    tmp_path: Path, storm_s: float
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        at = scene.loop.time()
        for shard in range(64):
            scene.sim.op7(shard)
            if storm_s:
                await scene.run_for(storm_s / 64)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 64)
        await scene.live()
        await scene.run_for(30.0)
        moments = sorted(one.at - at for one in scene.sim.ledger.resumes)
        assert moments[-1] <= storm_s + 2.1
        most = max(sum(1 for other in moments if 0 <= other - one < 0.1) for one in moments)
        assert most <= 12, "spread, not one for each op 7"
        assert moments[48] > storm_s + 0.1, "later than the last op 7"
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"] * 64
        assert len(scene.sim.ledger.identifies) == 64, "those of the start"
        assert len(scene.sim.ledger.connections) == 128

    stage(tmp_path, play, shards=64, guilds=64, max_concurrency=16)
