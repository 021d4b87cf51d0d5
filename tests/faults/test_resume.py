"""F61 to F66, F71 to F74, F76 to F78 and F81: sessions that are resumed, and sessions that can't be.

What a RESUME is and does: https://docs.discord.com/developers/events/gateway#resuming.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gwcluster.log.session_state import FILE_NAME, load
from gwsimulator.faults import Interruption
from support.happenings import emit
from support.scene import Scene, stage


async def at_seq_100(scene: Scene) -> None:
    """READY, two guilds and 97 events."""
    await scene.live()
    emit(scene, 97)
    await scene.until(lambda: scene.seqs()[-1] == 100)


def resumes(scene: Scene) -> list[tuple[int, str]]:
    """Return from which seq each RESUME was, and what became of it."""
    return [(one.seq, one.outcome) for one in scene.sim.ledger.resumes]


def figures(scene: Scene) -> tuple[int, int]:
    """Return how many duplicates and gaps the status of shard 0 shows."""
    pulse = scene.crew.board.views[0].pulse
    assert pulse is not None
    return pulse.duplicates, pulse.gaps


# What was missed comes, once and in order


@pytest.mark.parametrize("takes_one", [True, False], ids=["with a number", "without"])
def test_f61_what_was_missed_is_forwarded_once_in_order_and_then_resumed(
    tmp_path: Path, takes_one: bool
) -> None:
    # RESUMED is a dispatch, and one capture has it with a number of its own; nothing promises one.
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.abort(0)
        emit(scene, 50)
        await scene.until(lambda: not scene.is_live(0))
        await scene.live()
        last = 151 if takes_one else 150
        assert scene.seqs() == list(range(1, last + 1))
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2)
        assert resumes(scene) == [(100, "resumed"), (last, "resumed")]
        assert scene.sim.ledger.resumes[1].replayed == 0
        await scene.live()
        assert scene.seqs() == list(range(1, 153 if takes_one else 151))
        assert [one.name for one in scene.events()].count("RESUMED") == (2 if takes_one else 0)
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, resumed_has_seq=takes_one)


@pytest.mark.parametrize("how", ["abort", "eof", 1001, 4000])
def test_f62_a_drop_in_mid_replay_is_resumed_from_where_the_replay_got_to(
    tmp_path: Path, how: Interruption
) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.during_replay(0, after=20, what=how)
        scene.sim.abort(0)
        emit(scene, 50)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2)
        await scene.live()
        assert resumes(scene) == [(100, "resumed"), (120, "resumed")]
        assert scene.seqs() == list(range(1, 152))
        assert len(scene.sim.ledger.identifies) == 1
        await scene.run_for(5.0)
        assert figures(scene) == (0, 0), "nothing is asked for a second time"

    stage(tmp_path, play)


def test_f63_op_7_in_mid_replay_is_resumed_from_where_the_replay_got_to(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.during_replay(0, after=20, what="op7")
        scene.sim.abort(0)
        emit(scene, 50)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2)
        await scene.live()
        assert resumes(scene) == [(100, "resumed"), (120, "resumed")]
        assert [one.code for one in scene.sim.ledger.closes if one.by == "client"] == [4900]
        assert scene.seqs() == list(range(1, 152))
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)


@pytest.mark.parametrize("delay_s", [0.0, 5.0])
def test_f63_op_9_in_mid_replay_ends_the_session_but_what_came_was_forwarded(
    tmp_path: Path, delay_s: float
) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.during_replay(0, after=20, what="op9")
        scene.sim.abort(0)
        emit(scene, 50)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.live()
        (lost,) = scene.notices("GWCLUSTER_SESSION_LOST")
        assert (lost["session"], lost["last_seq"]) == (1, 120)
        assert scene.seqs() == [*range(1, 121), 1, 2, 3]
        assert len(resumes(scene)) == 1
        await scene.run_for(300.0)
        assert len(scene.sim.ledger.identifies) == 2

    stage(tmp_path, play, invalid_session_delay_s=delay_s)


def test_f71_3500_missed_events_come_in_order_among_live_ones_and_heartbeats_go_on(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.abort(0)
        emit(scene, 3500)
        resumed = await scene.until(lambda: scene.sim.ledger.resumes)
        emit(scene, 100)
        await scene.live()
        scene.sim.drip(0, 20_000)  # half a minute for what is left to be sent
        for _ in range(200):
            emit(scene, 10)
            await scene.run_for(0.5)
        scene.sim.drip(0, None)
        await scene.settled()
        assert resumed[0].replayed == 3500
        assert scene.seqs() == list(range(1, 100 + 3500 + 1 + 100 + 2000 + 1))
        assert len(scene.sim.ledger.connections) == 2, "no beat was late"

    # Discord keeps at most so many events for a RESUME: https://github.com/discord/discord-api-docs/issues/24
    stage(tmp_path, play, buffer_events=6000, heartbeat_interval_ms=5_000)


def test_f71_a_replay_that_takes_longer_than_a_minute_is_waited_for_while_events_come(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.silence_dials()
        scene.sim.abort(0)
        emit(scene, 3500)
        await scene.until(lambda: len(scene.sim.ledger.connections) == 2)
        scene.sim.drip(None, 650)
        scene.sim.send_hello(None)
        at = scene.loop.time()
        await scene.until(lambda: not scene.is_live(0))
        await scene.live(within_s=600.0)
        assert 65.0 < scene.loop.time() - at < 80.0, "and less than two intervals, for ACKs are as late"
        assert scene.seqs() == list(range(1, 100 + 3500 + 1 + 1))
        assert len(scene.sim.ledger.connections) == 2
        assert scene.sim.ledger.beats, "heartbeats went on"

    # I7 takes what drips for delivered already.
    stage(tmp_path, play, excused={"I7"}, buffer_events=6000)


# Numbers that are not what they should be


def test_f72_a_replay_that_repeats_numbers_is_forwarded_once_and_counted(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.refuse_resume("silent")
        scene.sim.abort(0)
        emit(scene, 10)
        await scene.until(lambda: resumes(scene) == [(100, "silent")])
        missed = {one.seq: one.payload or b"" for one in scene.sim.ledger.dispatches(shard=0)}
        for seq in (101, 102, 102, 101, 103, 100):  # the replay, as it should not be
            scene.sim.send_raw(None, missed[seq])
        await scene.settled()
        scene.sim.abort(None)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2)
        assert resumes(scene)[1] == (103, "resumed")
        await scene.live()
        await scene.run_for(5.0)
        assert scene.seqs() == list(range(1, 112))
        assert figures(scene) == (3, 0)

    stage(tmp_path, play)


def test_f72_a_live_event_that_comes_twice_is_forwarded_once_and_counted(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.mangle(0, "duplicate", times=4)
        emit(scene, 6)
        await scene.run_for(5.0)
        assert scene.seqs() == list(range(1, 10))
        assert figures(scene) == (4, 0)
        assert len(scene.sim.ledger.connections) == 1

    stage(tmp_path, play)


def test_f73_numbers_that_are_left_out_are_counted_and_are_no_reason_to_reconnect(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.mangle(0, "gap")
        emit(scene, 2)
        await scene.run_for(60.0)
        last = scene.sim.ledger.dispatches(shard=0)[-1].seq
        assert last > 5
        assert scene.seqs() == [1, 2, 3, last - 1, last]
        assert figures(scene) == (0, 1)
        assert len(scene.sim.ledger.connections) == 1
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)
        assert resumes(scene) == [(last, "resumed")]

    stage(tmp_path, play)


@pytest.mark.parametrize("seq", ["null", "5", "99"])
def test_f74_only_dispatches_move_the_seq(tmp_path: Path, seq: str) -> None:
    # "the sequence number (s) from the last Dispatch (opcode 0) event it received before the disconnect"
    # https://docs.discord.com/developers/events/gateway#preparing-to-resume
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 7)
        await scene.settled()
        for op in (11, 1, 10, 12):
            d = '{"heartbeat_interval":41250}' if op == 10 else "null"
            scene.sim.send_raw(0, f'{{"t":null,"s":{seq},"op":{op},"d":{d}}}')
        await scene.settled()
        assert scene.sim.ledger.beats[-1].seq == 10, "the answer to op 1"
        scene.sim.send_raw(0, f'{{"t":null,"s":{seq},"op":7,"d":null}}')
        await scene.until(lambda: scene.sim.ledger.resumes)
        assert resumes(scene) == [(10, "resumed")]

    stage(tmp_path, play)


# Sessions that can't be resumed


def test_f65_a_session_whose_resumes_die_without_a_word_is_given_up_after_three(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.refuse_resume("abort", times=None)
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.live()
        assert resumes(scene) == [(100, "abort")] * 3
        (lost,) = scene.notices("GWCLUSTER_SESSION_LOST")
        assert lost["last_seq"] == 100
        assert "3 RESUMEs without one event" in lost["reason"]
        await scene.run_for(500.0)
        assert len(scene.sim.ledger.identifies) == 2

    stage(tmp_path, play)


def test_f65_connections_that_ended_before_a_resume_was_sent_do_not_count(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.reset_dials(times=4)
        scene.sim.close_on_connect("abort", times=1)
        scene.sim.abort(0)
        emit(scene, 5)
        await scene.until(lambda: (100, "resumed") in resumes(scene), within_s=600.0)
        await scene.live()
        assert scene.seqs() == list(range(1, 107))
        assert len(scene.sim.ledger.identifies) == 1

    # The two hosts are tried in turn, as either may be the one that is down.
    stage(tmp_path, play, session_ttl_s=900.0, violated={"wrong_resume_host"})


def test_f65_one_replayed_event_each_time_keeps_the_session(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.during_replay(0, after=1, what="abort", times=6)
        scene.sim.abort(0)
        emit(scene, 10)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 7, within_s=600.0)
        await scene.live()
        assert [seq for seq, _ in resumes(scene)] == list(range(100, 107))
        assert scene.seqs() == list(range(1, 112))
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, session_ttl_s=900.0)


@pytest.mark.parametrize("ending", [frozenset(), frozenset({4007})], ids=["kept", "forgotten"])
def test_f66_4007_to_a_resume_drops_the_session(tmp_path: Path, ending: frozenset[int]) -> None:
    async def play(scene: Scene) -> None:
        await at_seq_100(scene)
        scene.sim.refuse_resume(4007)
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.live()
        assert resumes(scene) == [(100, "4007")], "the same again would be refused again"
        (lost,) = scene.notices("GWCLUSTER_SESSION_LOST")
        assert "4007" in lost["reason"]
        beats = [beat.seq for beat in scene.sim.ledger.beats if beat.link == 3]
        assert not any(seq is not None and seq > 3 for seq in beats), "the old seq is forgotten too"

    stage(tmp_path, play, ending_codes=ending)


# What a restart finds


async def restart(scene: Scene, after_s: float = 5.0) -> None:
    """Stop the cluster, wait, and start it again on the same state."""
    assert await scene.stop() == 0
    await scene.run_for(after_s)
    await scene.start()
    await scene.live()


@pytest.mark.parametrize(
    "change",
    [{"shards": {"count": 8, "ids": [0, 1]}}, {"intents": 513}],
    ids=["another shard count", "other intents"],
)
def test_f76_a_saved_session_of_another_shard_count_or_other_intents_is_not_resumed(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.config |= change
        await restart(scene)
        assert scene.sim.ledger.resumes == []
        again = scene.sim.ledger.identifies[2:]
        count = scene.config["shards"]["count"]
        assert [(one.shard, one.shards) for one in again] == [(0, count), (1, count)]
        assert [lost["session"] for lost in scene.notices("GWCLUSTER_SESSION_LOST")] == [1, 1]

    config = {"shards": {"count": 4, "ids": [0, 1]}}
    stage(tmp_path, play, config=config, shards=4, guilds=8)


@pytest.mark.parametrize("delay_s", [0.0, 5.0])
def test_f77_a_saved_session_that_is_too_old_costs_one_resume_and_an_identify_by_permit(
    tmp_path: Path, delay_s: float
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await restart(scene, after_s=3600.0)
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["op9"] * 2
        first, second = (one.at for one in scene.sim.ledger.identifies[2:])
        assert second - first >= 5.0
        assert len(scene.notices("GWCLUSTER_SESSION_LOST")) == 2
        await scene.run_for(300.0)
        assert len(scene.sim.ledger.identifies) == 4

    stage(tmp_path, play, shards=2, invalid_session_delay_s=delay_s)


def session_file(folder: Path) -> Path:
    (path,) = folder.rglob(FILE_NAME)
    return path


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "torn": lambda data: data[: len(data) // 2],
    "one digit changed": lambda data: data.replace(b'"shards": 1', b'"shards": 2'),
    "another id": lambda data: data.replace(b'"session_id": "', b'"session_id": "0'),
    "not JSON": lambda data: b"\xff\x00" * 100,
    "deep": lambda data: b"[" * 60_000,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_f78_a_session_file_that_is_torn_or_changed_is_as_good_as_none(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.stop()
        path = session_file(tmp_path)
        before = path.read_bytes()
        path.write_bytes(damage(before))
        assert path.read_bytes() != before
        await scene.start()
        await scene.live()
        assert scene.sim.ledger.resumes == []
        assert len(scene.sim.ledger.identifies) == 2
        assert "can't be used" in scene.story("WARNING")
        assert len(scene.notices("GWCLUSTER_SESSION_LOST")) == 1
        await restart(scene)
        assert resumes(scene) == [(3, "resumed")], "the new session is saved in its place"

    stage(tmp_path, play)


def test_f81_a_new_ready_brings_a_new_resume_address_and_it_is_kept_across_a_restart(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.swap_resume_host()
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 1)
        await scene.live()
        scene.sim.op9(0)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        await scene.live()
        scene.sim.abort(0)
        await scene.until(lambda: len(scene.sim.ledger.resumes) == 2)
        await scene.live()
        await restart(scene)
        hosts = [one.host for one in scene.sim.ledger.resumes]
        assert hosts == ["resume", "resume-2", "resume-2"], "the old one until READY names another"
        saved = load(session_file(tmp_path).parent)
        assert saved is not None
        assert saved.resume_url == scene.sim.resume_url

    stage(tmp_path, play)
