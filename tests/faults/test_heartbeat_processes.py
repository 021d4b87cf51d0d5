"""F39 to F41 and F59: processes under load, behind a full ZeroMQ queue, after a stop, and without answers."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from gwcluster.log import Reader
from gwsimulator import Settings, ThreadedSimulator
from gwworker.effects import Abort, SendBeat
from gwworker.events import Tick
from gwworker.phases import Phase
from support.cluster import Cluster, running, subscribed, until
from support.discord import discord
from support.session_rig import Rig

pytestmark = pytest.mark.e2e

ROOM = "{retention: {bytes: 256MiB}}"


def settings(**changes: object) -> Settings:
    """One shard that beats every second; late by a quarter and a quarter of a second is too late."""
    values: dict[str, object] = {"shards": 1, "guilds": 2, "heartbeat_interval_ms": 1000, **changes}
    return Settings(**values)  # type: ignore[arg-type]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process as long as the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def seqs_in_log(cluster: Cluster) -> list[int]:
    records = Reader(cluster.state / "shards" / "0").records()
    return [record.seq for record in records if record.seq is not None]


def assert_beats_on_time(sim: ThreadedSimulator, since: float) -> None:
    """Beats go on every second, none of them more than a second late, on the connection that there was."""
    assert len(sim.ledger.connections) == 1
    assert sim.ledger.closes == []
    beats = [beat.at for beat in sim.ledger.beats if beat.at >= since]
    assert len(beats) >= 2
    assert max(after - before for before, after in pairwise(beats)) < 2.0


@pytest.mark.parametrize("compression", ["none", "zlib-stream"])
def test_f39_a_stream_of_large_events_delays_no_beat(tmp_path: Path, compression: str) -> None:
    guild = b'{"id":"1","name":"' + b"large guild " * 80_000 + b'"}'  # 0.96 MB; some 17 MB a second
    # A second of tolerance: what is asserted is our own lateness, on a machine that is busy with the test.
    allowed = settings(heartbeat_tolerance=1.0)
    with (
        discord(allowed, excused={"I7"}) as sim,
        running(tmp_path, sim.api, compression=compression, log=ROOM) as cluster,
    ):
        cluster.wait_ready()
        since = time.monotonic()
        for wave in range(30):
            sim.emit("GUILD_CREATE", guild)
            sim.emit("GUILD_CREATE", guild)
            time.sleep(max(0.0, since + (wave + 1) * 0.1 - time.monotonic()))
        last = sim.ledger.dispatches()[-1].seq
        until(lambda: seqs_in_log(cluster)[-1] == last, "the last event in the log", 10)
        assert seqs_in_log(cluster) == list(range(1, last + 1))
        assert_beats_on_time(sim, since)
        assert cluster.stop() == 0


def test_f40_a_consumer_that_does_not_read_delays_no_beat_and_loses_only_what_the_log_still_has(
    tmp_path: Path,
) -> None:
    # The coordinator forwards events; while it is stopped, ZeroMQ's queues and then the worker's own fill
    # up. What comes then is counted and is in the log alone. A subscriber that never reads is stopped too.
    large = b'{"text":"' + b"x" * 500_000 + b'"}'
    with (
        discord(settings(heartbeat_tolerance=1.0), excused={"I7"}) as sim,
        running(tmp_path, sim.api, compression="none", log=ROOM) as cluster,
        subscribed(cluster.events),
    ):
        cluster.wait_ready()
        since = time.monotonic()
        with stopped(cluster.pid):
            sim.emit_random(0, 6000)  # more messages than ZeroMQ queues, for one
            for _ in range(80):  # and more bytes than the worker does
                sim.emit("MESSAGE_CREATE", large)
            time.sleep(2.5)
            assert_beats_on_time(sim, since)
            last = sim.ledger.dispatches()[-1].seq
            until(lambda: seqs_in_log(cluster)[-1] == last, "the last event in the log", 10)
        time.sleep(1.2)
        assert_beats_on_time(sim, since)
        assert seqs_in_log(cluster) == list(range(1, last + 1))
        assert len(sim.ledger.identifies) == 1
        assert sim.ledger.resumes == []
        assert cluster.stop() == 0


def test_f41_an_ack_that_waited_in_the_socket_while_the_worker_was_stopped_counts(tmp_path: Path) -> None:
    with (
        discord(settings(heartbeat_tolerance=9.0), excused={"I7"}) as sim,
        running(tmp_path, sim.api) as cluster,
    ):
        cluster.wait_ready()
        (worker,) = cluster.workers(1).values()
        sim.delay_acks(0, 0.3)
        beats = len(sim.ledger.beats)
        until(lambda: len(sim.ledger.beats) > beats, "a beat")
        with stopped(worker):  # now, while the ACK is still to come
            time.sleep(3.0)
        time.sleep(1.5)
        assert len(sim.ledger.beats) >= beats + 2
        assert len(sim.ledger.connections) == 1
        assert sim.ledger.closes == []
        assert sim.ledger.resumes == []
        assert cluster.stop() == 0


@pytest.mark.parametrize(
    ("code", "keeps"),
    [(4000, True), (1000, True), (None, True), (4009, False)],
    ids=["4000", "1000", "reset", "4009"],
)
def test_f41_a_worker_that_was_stopped_too_long_resumes_and_identifies_only_if_the_session_is_gone(
    tmp_path: Path, code: int | None, keeps: bool
) -> None:
    # Discord doesn't say with which code it ends a connection whose beat is late, nor what is left then;
    # only 4009 says itself that the session is over.
    # https://docs.discord.com/developers/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes
    with (
        discord(settings(late_beat_code=code), violated={"late_heartbeat"}, excused={"I7"}) as sim,
        running(tmp_path, sim.api) as cluster,
    ):
        cluster.wait_ready()
        (worker,) = cluster.workers(1).values()
        with stopped(worker):
            time.sleep(2.5)
            sim.emit("TYPING_START", {"while": "stopped"})
        cluster.wait_ready(times=2)
        time.sleep(0.3)
        assert [identify.outcome for identify in sim.ledger.identifies] == ["ready"] * (1 if keeps else 2)
        assert [resume.outcome for resume in sim.ledger.resumes] == (["resumed"] if keeps else [])
        assert len(sim.ledger.connections) == 2
        if keeps:
            names = [record.name for record in Reader(cluster.state / "shards" / "0").records()]
            assert names.count("TYPING_START") == 1
        assert cluster.stop() == 0


def test_f41_a_beat_that_is_due_since_long_ago_is_judged_after_reading_what_came() -> None:
    rig = Rig(jitter=0.5).live(heartbeat_s=40.0).forget_log()
    rig.run_for(20.0)  # the first beat leaves
    rig.now += 100.0  # the loop stands still: the ACK came after 0.1 s, and nobody read it
    assert rig.do(Tick()) == []
    rig.now += 0.01
    rig.ack()
    rig.now += 1.0
    assert rig.do(Tick()) == [SendBeat()]
    assert rig.all(Abort) == []
    assert rig.phase is Phase.LIVE


def test_f41_a_peer_that_is_silent_after_our_own_stall_too_is_gone_a_second_later() -> None:
    rig = Rig(jitter=0.5).live(heartbeat_s=40.0).forget_log()
    rig.run_for(20.0)
    rig.now += 100.0
    rig.do(Tick())
    rig.now += 1.0
    assert rig.do(Tick()) == [Abort()]


def test_f59_while_the_coordinator_is_stopped_shards_resume_beat_and_wait_to_identify(tmp_path: Path) -> None:
    two = settings(shards=2, guilds=4, max_concurrency=2)
    with discord(two) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        with stopped(cluster.pid):
            sim.op9(0)
            sim.op7(1)
            until(lambda: sim.ledger.resumes, "the RESUME of shard 1")
            until(lambda: len(sim.ledger.connections) == 4, "the connection on which shard 0 waits")
            time.sleep(4.0)  # op 9 is followed by five seconds at most, then by Hello and a permit that isn't
            beats = [beat.at for beat in sim.ledger.beats if beat.link == sim.ledger.connections[-1].link]
            assert len(sim.ledger.identifies) == 2
        until(lambda: len(sim.ledger.identifies) == 3, "the IDENTIFY of shard 0")
        cluster.wait_ready(times=2)
        assert len(beats) >= 3
        assert [identify.shard for identify in sim.ledger.identifies][2:] == [0]
        assert [(resume.shard, resume.outcome) for resume in sim.ledger.resumes] == [(1, "resumed")]
        assert cluster.stop() == 0
