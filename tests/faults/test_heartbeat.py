"""F33 to F45: heartbeats, and what they tell of the peer, the process and the machine."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

from gwcluster.wire.control import CommandDone
from gwsimulator.records import Beat
from support.scene import Scene, stage

INTERVAL_S = 41.25


class Always(random.Random):
    """Dice that show the same number each time."""

    def __init__(self, number: float) -> None:
        super().__init__(0)
        self._number = number

    def random(self) -> float:
        return self._number


def beats_since(scene: Scene, moment: float) -> list[Beat]:
    """Return the heartbeats from a moment of the loop's clock on."""
    return [beat for beat in scene.sim.ledger.beats if beat.at >= moment]


def assert_undisturbed(scene: Scene) -> None:
    """Whatever happened, every shard kept its first connection."""
    shards = len(scene.crew.board.views)
    assert len(scene.sim.ledger.connections) == shards
    assert len(scene.sim.ledger.identifies) == shards
    assert scene.sim.ledger.resumes == []
    assert scene.sim.ledger.closes == []


@pytest.mark.parametrize("trims", [False, True])
def test_f33_no_ack_and_no_traffic_ends_the_connection_and_resumes_with_the_right_seq(
    tmp_path: Path, trims: bool
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.emit_random(0, 10)
        await scene.settled()
        last = scene.seqs()[-1]
        scene.sim.drop_acks(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        assert (resume.seq, resume.outcome) == (last, "resumed")
        (beat,) = scene.sim.ledger.beats
        (close,) = scene.sim.ledger.closes
        assert (close.by, close.code) == ("client", None), "dropped, without waiting for a closing handshake"
        assert close.at - beat.at == pytest.approx(INTERVAL_S, abs=0.1)
        assert resume.at - close.at < 1.1
        assert "zombie connection: no ACK for a heartbeat of 41 s ago; the last message came" in scene.story()
        scene.sim.drop_acks(0, False)
        await scene.run_for(300.0)
        assert len(scene.sim.ledger.identifies) == 1
        assert len(scene.sim.ledger.connections) == 2

    stage(tmp_path, play, heartbeat_trims=trims)


def test_f34_events_without_acks_keep_a_connection_for_two_intervals_and_not_longer(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.drop_acks(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes, within_s=200.0)
        scene.sim.drop_acks(0, False)
        first, second, *_ = scene.sim.ledger.beats
        (close,) = scene.sim.ledger.closes
        assert second.at - first.at == pytest.approx(INTERVAL_S, abs=0.01), "the first miss is only a miss"
        assert close.at - first.at == pytest.approx(2 * INTERVAL_S, abs=0.1)
        assert (close.by, close.code) == ("client", None)
        assert resume.outcome == "resumed"
        await scene.run_for(3 * INTERVAL_S)
        assert len(scene.sim.ledger.identifies) == 1
        assert len(scene.sim.ledger.connections) == 2

    stage(tmp_path, play, rate=0.5)


@pytest.mark.parametrize("first_after", [0.0, 0.999])
def test_f35_an_ack_that_comes_late_after_any_first_beat_keeps_the_connection(
    tmp_path: Path, first_after: float
) -> None:
    async def play(scene: Scene) -> None:
        scene.dice = Always(first_after)
        scene.sim.delay_acks(None, 0.3)
        await scene.start()
        await scene.live()
        await scene.run_for(10 * INTERVAL_S)
        (hello,) = scene.sim.ledger.hellos
        moments = [beat.at - hello.at for beat in scene.sim.ledger.beats]
        assert moments[0] == pytest.approx(first_after * INTERVAL_S, abs=0.05)
        gaps = [after - before for before, after in pairwise(moments)]
        assert gaps == pytest.approx([INTERVAL_S] * len(gaps), abs=0.01)
        assert len(gaps) >= 9
        assert_undisturbed(scene)

    stage(tmp_path, play, start=False)


def test_f36_each_request_for_a_beat_is_answered_at_once_and_moves_nothing_else(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        (first,) = await scene.until(lambda: scene.sim.ledger.beats)
        for burst in range(3):
            asked = scene.loop.time()
            scene.sim.op1(0, times=5)
            await scene.settled()
            answers = beats_since(scene, asked)
            assert len(answers) == 5, f"burst {burst}"
            assert answers[-1].at - asked < 0.1
        scene.sim.drop_acks(0)
        scene.sim.op1(0, times=5)  # and a beat of these that gets no ACK is no missed one
        await scene.settled()
        scene.sim.drop_acks(0, False)
        await scene.run_for(2 * INTERVAL_S)
        periodic = [beat.at for beat in scene.sim.ledger.beats if beat.at > first.at + 10.0]
        assert periodic == pytest.approx([first.at + INTERVAL_S, first.at + 2 * INTERVAL_S], abs=0.05)
        assert_undisturbed(scene)

    stage(tmp_path, play)


def test_f36_a_request_just_before_the_timers_beat_is_no_missed_one(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        (first,) = await scene.until(lambda: scene.sim.ledger.beats)
        scene.sim.delay_acks(0, 0.5)
        await scene.run_for(first.at + INTERVAL_S - 0.1 - scene.loop.time())
        scene.sim.op1(0)  # its ACK comes after the timer's own beat was sent
        await scene.run_for(2 * INTERVAL_S)
        assert_undisturbed(scene)

    stage(tmp_path, play)


def test_f36_more_requests_than_the_send_limit_allows_are_left_unanswered(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        asked = scene.loop.time()
        for _ in range(60):
            scene.sim.op1(0, times=5)
            await scene.run_for(0.5)
        answered = len(beats_since(scene, asked))
        assert 45 <= answered < 60  # 300 were asked for; 120 payloads fit into 60 s, and others need room
        await scene.run_for(2 * INTERVAL_S)
        assert_undisturbed(scene)

    stage(tmp_path, play)


def test_f37_a_beat_before_ready_says_null(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.until(lambda: scene.sim.ledger.identifies)
        scene.sim.op1(None)
        await scene.until(lambda: scene.sim.ledger.beats, within_s=0.2)
        await scene.live()
        scene.sim.op1(0)
        await scene.settled()
        assert [beat.seq for beat in scene.sim.ledger.beats] == [None, scene.seqs()[-1]]
        assert_undisturbed(scene)

    stage(tmp_path, play, ready_delay_s=2.0)


def test_f37_a_beat_between_two_sessions_says_null_and_not_the_old_number(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.emit_random(0, 20)
        scene.sim.op9(0)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        before = len(scene.sim.ledger.beats)
        scene.sim.op1(None)
        (beat,) = await scene.until(lambda: scene.sim.ledger.beats[before:], within_s=0.2)
        assert beat.seq is None
        await scene.live()

    stage(tmp_path, play, ready_delay_s=2.0)


def test_f38_acks_that_nobody_asked_for_are_neither_counted_nor_saved_up(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.send_acks(0, times=50)
        await scene.until(lambda: scene.sim.ledger.beats)
        scene.sim.send_acks(0, times=50)
        await scene.run_for(3.0)
        assert_undisturbed(scene)
        pulse = scene.crew.board.views[0].pulse
        assert pulse is not None
        assert pulse.latency_s is not None
        assert 0.0 <= pulse.latency_s < 0.1
        scene.sim.drop_acks(0)  # a hundred spare ACKs don't make up for one that is missing
        last = scene.sim.ledger.beats[-1].at
        await scene.until(lambda: scene.sim.ledger.closes)
        (close,) = scene.sim.ledger.closes
        assert close.at - last == pytest.approx(2 * INTERVAL_S, abs=0.1)
        scene.sim.drop_acks(0, False)
        await scene.live()
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)


def test_f41_a_worker_that_hangs_for_good_is_killed_after_20_s_and_its_successor_resumes(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.emit_random(0, 10)
        await scene.settled()
        last = scene.seqs(0)[-1]
        at = scene.loop.time()
        scene.worker(0).hang()
        scene.sim.emit_random(0, 10)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert 18.0 <= resume.at - at <= 27.0  # its last word may be two seconds old, a look five late
        assert (resume.seq, resume.outcome) == (last, "resumed")
        assert scene.story("killing it") == "ERROR shard 0: its worker said nothing for 20 s; killing it"
        assert scene.seqs(0) == list(range(1, scene.seqs(0)[-1] + 1))
        await scene.run_for(300.0)
        assert len(scene.sim.ledger.connections) == 3, "and the other shard is well"
        assert len(scene.sim.ledger.identifies) == 2

    stage(tmp_path, play, shards=2, guilds=4, max_concurrency=2)


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_f42_the_time_of_day_moves_neither_beats_nor_windows_nor_limits(
    tmp_path: Path, jump_s: float
) -> None:
    async def play(scene: Scene) -> None:
        await scene.until(lambda: scene.sim.ledger.identifies)
        scene.jump_wall(jump_s)
        await scene.live()
        moments = [identify.at for identify in scene.sim.ledger.identifies]
        assert all(5.0 <= after - before < 6.0 for before, after in pairwise(moments))
        for _ in range(110):
            assert (await leave_voice(scene)).code is None
        scene.jump_wall(jump_s)
        said = [await leave_voice(scene, ttl_s=1.0) for _ in range(10)]
        assert said[-1].code == "rate_limited", "a minute is one of the monotonic clock"
        await scene.run_for(61.0)
        assert (await leave_voice(scene, ttl_s=1.0)).code is None
        await scene.run_for(4 * INTERVAL_S)
        # A jump may also mean that a virtual machine was paused, so one beat asks at once whether the
        # connection lives; those that the timer sends come when they would have come anyway.
        assert_undisturbed(scene)
        for link in {beat.link for beat in scene.sim.ledger.beats}:
            beats = [beat.at for beat in scene.sim.ledger.beats if beat.link == link]
            regular = [at for at in beats if any(abs(at - other - INTERVAL_S) < 0.01 for other in beats)]
            assert len(regular) >= 3
            assert len(beats) - len(regular) <= 3

    stage(tmp_path, play, shards=3, guilds=6)


async def leave_voice(scene: Scene, **where: float) -> CommandDone:
    d = {"guild_id": "1", "channel_id": None, "self_mute": False, "self_deaf": False}
    return await scene.send({"op": 4, "d": d}, shard=0, **where)


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_f42_a_wait_for_the_next_dial_is_as_long_as_it_was(tmp_path: Path, jump_s: float) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.refuse_upgrades(503, times=6)
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.refused) == 3)
        scene.jump_wall(jump_s)
        at = scene.loop.time()
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        assert resume.outcome == "resumed"
        assert resume.at - at < 100.0
        waits = [after.at - before.at for before, after in pairwise(scene.sim.ledger.refused)]
        assert len(waits) == 5
        assert min(waits) > 0.001, "no dial follows a failed one at once"

    stage(tmp_path, play)


def test_f42_a_coordinator_that_starts_after_the_clock_was_set_back_closes_no_key_for_that_long(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.kill()
        scene.jump_wall(-3600.0)
        await scene.start()
        await scene.live(within_s=30.0)
        assert len(scene.sim.ledger.identifies) == 3
        assert [resume.outcome for resume in scene.sim.ledger.resumes] == ["resumed"] * 2

    stage(tmp_path, play, shards=3, guilds=6)


def test_f43_a_suspended_host_tries_one_resume_and_then_identifies_in_the_queue(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for shard in range(3):
            scene.sim.forget_session(shard)
        scene.suspend(1200.0)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 6)
        await scene.live()
        assert [resume.outcome for resume in scene.sim.ledger.resumes] == ["op9"] * 3
        assert {resume.shard for resume in scene.sim.ledger.resumes} == {None}
        again = [identify.at for identify in scene.sim.ledger.identifies[3:]]
        assert again[1] - again[0] >= 5.0
        assert again[2] - again[1] >= 5.0
        assert {close.code for close in scene.sim.ledger.closes} & {1000, 1001} == set()
        await scene.run_for(300.0)
        assert len(scene.sim.ledger.identifies) == 6
        assert len(scene.notices("GWCLUSTER_SESSION_LOST")) == 3

    stage(tmp_path, play, shards=3, guilds=6)


def test_f43_a_short_nap_costs_no_session_and_no_connection(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.suspend(20.0)
        await scene.run_for(3 * INTERVAL_S)
        assert_undisturbed(scene)

    stage(tmp_path, play)


def test_f44_nothing_of_a_dead_connection_acts_on_the_next(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for shard_life in range(8):
            if shard_life % 2:  # die with an ACK pending
                scene.sim.drop_acks(0)
                beats = len(scene.sim.ledger.beats)
                await scene.until(lambda beats=beats: len(scene.sim.ledger.beats) > beats)  # type: ignore[misc]
            else:  # die while the first beat is still to come, with a reconnect under way
                scene.sim.op7(0)
            scene.sim.abort(0)
            scene.sim.drop_acks(0, False)
            await scene.until(lambda lives=shard_life + 1: len(scene.sim.ledger.resumes) == lives)  # type: ignore[misc]
            await scene.live()
        await scene.run_for(10 * INTERVAL_S)
        ledger = scene.sim.ledger
        assert len(ledger.connections) == 9, "one dial for each death"
        assert len(ledger.identifies) == 1
        last = [beat for beat in ledger.beats if beat.at > ledger.resumes[-1].at]
        assert {beat.link for beat in last} == {ledger.connections[-1].link}
        gaps = [after.at - before.at for before, after in pairwise(last)]
        assert gaps == pytest.approx([INTERVAL_S] * len(gaps), abs=0.01), "one timer, not one for each life"
        assert len(gaps) >= 8

    stage(tmp_path, play)


def test_f45_a_shard_that_waits_ten_minutes_for_a_permit_beats_all_along(tmp_path: Path) -> None:
    # docs/decisions/0001: it waits with an open connection, so that it can identify at once.
    async def play(scene: Scene) -> None:
        start = {"total": 1000, "remaining": 0, "reset_after": 600_000, "max_concurrency": 1}
        answer = {"url": scene.sim.gateway_url, "shards": 1, "session_start_limit": start}
        scene.sim.rest_fault(status=200, body=json.dumps(answer))
        await scene.start()
        await scene.run_for(599.0)
        assert scene.sim.ledger.identifies == []
        (identify,) = await scene.until(lambda: scene.sim.ledger.identifies)
        allowed_at = scene.sim.ledger.rest_calls[-1].at
        assert 0.0 <= identify.at - allowed_at < 0.01, "no time is lost between permit and IDENTIFY"
        await scene.live()
        beats = [beat for beat in scene.sim.ledger.beats if beat.at < identify.at]
        (hello,) = scene.sim.ledger.hellos
        gaps = [after.at - before.at for before, after in pairwise(beats)]
        assert beats[0].at - hello.at <= INTERVAL_S
        assert gaps == pytest.approx([INTERVAL_S] * len(gaps), abs=0.01)
        assert identify.at - beats[-1].at <= INTERVAL_S
        assert {beat.seq for beat in beats} == {None}
        assert_undisturbed(scene)

    stage(tmp_path, play, start=False)
