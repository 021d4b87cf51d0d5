"""F33 to F45: heartbeats, and what they tell of the peer, the process and the machine."""

from __future__ import annotations

from pathlib import Path

from support.scene import Scene, stage


def test_f33_no_ack_and_no_traffic_ends_the_connection_and_resumes_with_the_right_seq(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.emit_random(0, 10)
        await scene.settled()
        last = scene.seqs()[-1]
        scene.sim.drop_acks(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        assert (resume.seq, resume.outcome) == (last, "resumed")
        assert scene.now < 2 * 41.25 + 1.0
        (close,) = scene.sim.ledger.closes
        assert (close.by, close.code) == ("client", None), "dropped, without waiting for a closing handshake"
        scene.sim.drop_acks(0, False)

    stage(tmp_path, play)


def test_f43_a_suspended_host_tries_one_resume_and_then_identifies_in_the_queue(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for shard in range(3):
            scene.sim.forget_session(shard)
        scene.suspend(1200.0)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 6)
        await scene.live()
        assert [resume.outcome for resume in scene.sim.ledger.resumes] == ["op9"] * 3
        again = [identify.at for identify in scene.sim.ledger.identifies[3:]]
        assert again[1] - again[0] >= 5.0
        assert again[2] - again[1] >= 5.0

    stage(tmp_path, play, shards=3, guilds=6)
