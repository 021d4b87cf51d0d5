"""The whole program as real processes against the simulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pytest

from gwcluster.log import Reader
from gwsimulator import Settings, ThreadedSimulator
from support.cluster import (
    Cluster,
    Message,
    children,
    is_alive,
    kill,
    running,
    subscribed,
    until,
)
from support.discord import discord

pytestmark = pytest.mark.e2e


def settings(**changes: object) -> Settings:
    """Four shards that may all identify at once, and traffic on each."""
    values: dict[str, object] = {"shards": 4, "guilds": 12, "rate": 40.0, "max_concurrency": 4, **changes}
    return Settings(**values)  # type: ignore[arg-type]


def ledger_of(sim: ThreadedSimulator, shard: int) -> list[tuple[int, bytes]]:
    """Return (seq, payload) of each dispatch that the simulator made for a shard, in order."""
    return [(d.seq, d.payload or b"") for d in sim.ledger.dispatches(shard=shard)]


def log_of(cluster: Cluster, shard: int) -> list[tuple[int, bytes]]:
    """Return (seq, payload) of each dispatch in a shard's log, in order."""
    records = Reader(cluster.state / "shards" / str(shard)).records()
    return [(r.seq, r.payload) for r in records if r.seq is not None]


def quiet(sim: ThreadedSimulator) -> None:
    """Let every shard end with an event that is easy to wait for."""
    for shard in range(4):
        sim.emit("TYPING_START", {"last": True}, shard=shard)


@pytest.mark.parametrize("compression", ["none", "zlib-stream", "zstd-stream"])
def test_a_bare_subscriber_gets_what_discord_sent_in_three_frames(tmp_path: Path, compression: str) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api, compression=compression) as cluster:
        received: dict[int, list[Message]] = defaultdict(list)
        with subscribed(cluster.events) as receive:
            cluster.wait_ready()
            deadline = time.monotonic() + 2.0
            while time.monotonic() < deadline:
                message = receive(0.1)
                if message is not None:
                    received[message.shard].append(message)
        assert sorted(received) == [0, 1, 2, 3]
        for shard, messages in received.items():
            check_frames(shard, messages)
            sent = dict(ledger_of(sim, shard))
            dispatches = [m for m in messages if m.header["seq"] is not None]
            assert len(dispatches) > 40
            for message in dispatches:
                assert message.payload == sent[message.header["seq"]]
        assert {c.query.get("compress", "none") for c in sim.ledger.connections} == {compression}
        assert sim.ledger.violations == []


def test_an_interaction_leaves_a_bot_most_of_its_three_seconds(tmp_path: Path) -> None:
    # "must send an initial response within 3 seconds of receiving the event":
    # https://docs.discord.com/developers/interactions/receiving-and-responding#responding-to-an-interaction
    with (
        discord(settings()) as sim,
        running(tmp_path, sim.api) as cluster,
        subscribed(cluster.events, "INTERACTION_CREATE.") as receive,
    ):
        cluster.wait_ready()
        for number in range(20):
            sent_at = time.monotonic()
            sim.emit("INTERACTION_CREATE", {"id": str(number), "token": "x"}, shard=number % 4)
            message = receive(1.0)
            assert message is not None, f"nothing within a second of {number}"
            assert b'"id":"%d"' % number in message.payload
            assert time.monotonic() - sent_at < 0.5


def check_frames(shard: int, messages: list[Message]) -> None:
    """Check topic, header and the chains of offsets of one shard's messages."""
    logged = [m for m in messages if m.is_logged]
    offsets = [m.header["offset"] for m in logged]
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    assert len({m.header["epoch"] for m in logged}) == 1
    last_of: dict[str, int] = {}
    for message in logged:
        header = message.header
        assert header["v"] == 1
        assert (header["shard"], header["shards"]) == (shard, 4)
        assert len(header["epoch"]) == 16
        assert abs(header["at"] - time.time()) < 60
        if message.name in last_of:
            assert header["prev"] == last_of[message.name]
        last_of[message.name] = header["offset"]
    beacons = [m for m in messages if m.name == "GWCLUSTER_BEACON"]
    assert beacons, "a beacon comes at once after a connect and every two seconds"
    assert b'"names":{' in beacons[-1].payload


def test_a_killed_worker_is_replaced_by_a_resume_and_the_log_has_every_event_once(tmp_path: Path) -> None:
    with discord(settings(rate=200.0)) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        for victim in (2, 2, 0):
            time.sleep(0.3)
            before = cluster.workers(4)[victim]
            resumes = len(sim.ledger.resumes)
            kill(before)
            until(lambda resumes=resumes: len(sim.ledger.resumes) > resumes, "a resume")  # type: ignore[misc]
            until(lambda v=victim, b=before: cluster.workers(4)[v] != b, "a successor")  # type: ignore[misc]
        time.sleep(0.5)
        assert cluster.stop() == 0
        assert len(sim.ledger.identifies) == 4
        assert [r.outcome for r in sim.ledger.resumes] == ["resumed"] * 3
        for shard in range(4):
            logged = log_of(cluster, shard)
            assert [seq for seq, _ in logged] == list(range(1, len(logged) + 1))
            assert logged == ledger_of(sim, shard)[: len(logged)]
            assert len(logged) > 100
        assert sim.ledger.violations == []


def test_nobody_survives_the_coordinator_and_every_shard_resumes_after_it(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        everyone = [*cluster.everything()]
        assert len(everyone) == 6
        kill(cluster.pid)
        assert cluster.process is not None
        cluster.process.wait()
        until(lambda: not any(is_alive(pid) for pid in everyone), "everyone's end", 2.0)
        cluster.start()
        cluster.wait_ready(times=2)
        assert len(sim.ledger.identifies) == 4
        assert {r.shard for r in sim.ledger.resumes if r.outcome == "resumed"} == {0, 1, 2, 3}
        quiet(sim)
        time.sleep(0.3)
        assert cluster.stop() == 0
        for shard in range(4):
            logged = log_of(cluster, shard)
            assert logged == ledger_of(sim, shard)[: len(logged)]


def test_a_killed_nursery_costs_no_identify(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        workers = list(cluster.workers(4).values())
        kill(cluster.nursery)
        until(lambda: not any(is_alive(pid) for pid in workers), "the workers' end", 2.0)
        cluster.wait_ready(times=2)
        assert len(sim.ledger.identifies) == 4
        assert cluster.stop() == 0


def test_sigterm_ends_everything_and_keeps_the_sessions(tmp_path: Path) -> None:
    with (
        discord(settings(rate=300.0, buffer_events=100_000)) as sim,
        running(tmp_path, sim.api) as cluster,
    ):
        with subscribed(cluster.events) as receive:
            cluster.wait_ready()
            everyone = cluster.everything()
            began = time.monotonic()
            assert cluster.stop() == 0
            assert time.monotonic() - began < 10.0
            stopped = set()
            while (message := receive(0.5)) is not None:
                if message.name == "GWCLUSTER_SHARD_STATE" and b'"stopped"' in message.payload:
                    stopped.add(message.shard)
        assert stopped == {0, 1, 2, 3}, "the last words of each shard reach subscribers"
        assert not any(is_alive(pid) for pid in everyone)
        ends = [c.code for c in sim.ledger.closes if c.by == "client"]
        assert len(ends) == 4
        assert not {1000, 1001} & set(ends)
        left = [path.name for path in cluster.folder.rglob("*") if path.is_socket() or "pid" in path.name]
        assert left == []
        assert not (cluster.state / "run").exists()
        cluster.start()
        cluster.wait_ready(times=2)
        assert len(sim.ledger.identifies) == 4
        assert cluster.stop() == 0


def test_a_worker_that_hangs_does_not_hold_up_the_end_beyond_ten_seconds(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        everyone = cluster.everything()
        os.kill(cluster.workers(4)[3], signal.SIGSTOP)
        began = time.monotonic()
        assert cluster.stop() == 0
        assert time.monotonic() - began < 10.0
        assert not any(is_alive(pid) for pid in everyone)


def test_a_second_sigint_ends_at_once(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        for pid in cluster.workers(4).values():
            os.kill(pid, signal.SIGSTOP)  # so that none can stop by itself
        everyone = cluster.everything()
        assert cluster.process is not None
        cluster.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert cluster.process.poll() is None
        began = time.monotonic()
        cluster.process.send_signal(signal.SIGINT)
        assert cluster.process.wait(5) == 0
        assert time.monotonic() - began < 3.0
        assert not any(is_alive(pid) for pid in everyone)


def test_a_second_cluster_on_the_same_state_is_told_who_runs(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        second = subprocess.run(
            [sys.executable, "-P", "-m", "gwcluster", "run", str(cluster.file)],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        assert second.returncode == 1
        assert f"process {cluster.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        assert cluster.stop() == 0


@pytest.mark.parametrize("code", [4004, 4012, 4013, 4014])
def test_a_fatal_close_code_ends_with_64_and_is_never_tried_again(tmp_path: Path, code: int) -> None:
    with discord(settings(max_concurrency=1)) as sim, running(tmp_path, sim.api) as cluster:
        sim.refuse_identify(code)
        assert cluster.process is not None
        assert cluster.process.wait(15) == 64
        assert len(sim.ledger.identifies) == 1
        assert str(code) in cluster.text()


def test_a_token_that_rest_refuses_ends_with_64_after_one_request(tmp_path: Path) -> None:
    with (
        discord(settings(token="another"), violated={"authorization"}) as sim,
        running(tmp_path, sim.api) as cluster,
    ):
        assert cluster.process is not None
        assert cluster.process.wait(15) == 64
        assert len(sim.ledger.rest_calls) == 1
        assert sim.ledger.connections == []


def test_one_refused_shard_does_not_stop_the_others(tmp_path: Path) -> None:
    with (
        discord(settings(max_concurrency=1)) as sim,
        running(tmp_path, sim.api, shards="{ids: [0, 1]}") as cluster,
    ):
        sim.refuse_identify(4010)
        until(lambda: "shard 1: READY" in cluster.text(), "shard 1")
        with subscribed(cluster.events, "MESSAGE_CREATE.1.") as receive:
            assert receive(5.0) is not None
        records = list(Reader(cluster.state / "shards" / "0").records())
        assert records[-1].name == "GWCLUSTER_SHARD_STATE"
        assert b'"state":"failed"' in records[-1].payload
        assert b"4010" in records[-1].payload
        assert cluster.stop() == 0
        assert [i.shard for i in sim.ledger.identifies] == [0, 1]


def test_dropped_names_leave_no_event_but_their_seq_counts(tmp_path: Path) -> None:
    with (
        discord(settings(rate=0.0), names={"READY", "GUILD_CREATE", "RESUMED"}) as sim,
        running(
            tmp_path, sim.api, events=f"{{bind: 'ipc://{tmp_path}/events', exclude: [TYPING_START]}}"
        ) as cluster,
    ):
        cluster.wait_ready()
        for index in range(20):
            sim.emit("TYPING_START", {"index": index}, shard=1)
        last = ledger_of(sim, 1)[-1][0]
        time.sleep(2.5)
        before = cluster.workers(4)[1]
        kill(before)
        until(lambda: [r for r in sim.ledger.resumes if r.shard == 1], "the resume")
        assert [r.seq for r in sim.ledger.resumes if r.shard == 1] == [last]
        cluster.wait_ready(times=2)
        assert cluster.stop() == 0
        assert "TYPING_START" not in {r.name for r in Reader(cluster.state / "shards" / "1").records()}


def test_a_lost_session_is_told_between_the_two(tmp_path: Path) -> None:
    with discord(settings(rate=0.0)) as sim, running(tmp_path, sim.api, shards="{ids: [0]}") as cluster:
        cluster.wait_ready()
        last = ledger_of(sim, 0)[-1][0]
        sim.op9(0, resumable=False)
        until(lambda: cluster.text().count(" begins") == 2, "the second session", 20)
        assert cluster.stop() == 0
        names = [r.name for r in Reader(cluster.state / "shards" / "0").records() if "STATE" not in r.name]
        at = names.index("GWCLUSTER_SESSION_LOST")
        assert names.count("GWCLUSTER_SESSION_LOST") == 1
        assert names[at + 1] == "READY"
        lost = next(r for r in Reader(cluster.state / "shards" / "0").records() if r.name.endswith("LOST"))
        assert f'"last_seq":{last}'.encode() in lost.payload
        assert (lost.session, lost.seq) == (1, None)


def test_simulate_needs_no_token_and_leaves_nothing_behind() -> None:
    # Not in tmp_path: with the state folder in it, a socket's path may get longer than a path of one can be.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shipped = Path(__file__).parents[2] / "cluster.yaml"
        file = folder / "cluster.yaml"
        text = shipped.read_text().replace("tcp://127.0.0.1:5570", f"ipc://{folder}/events")
        file.write_text(text.replace("tcp://127.0.0.1:5571", f"ipc://{folder}/requests"))
        environ = {key: value for key, value in os.environ.items() if key != "DISCORD_TOKEN"}
        environ["TMPDIR"] = str(folder)
        environ["XDG_STATE_HOME"] = str(folder / "state-home")
        run = subprocess.Popen(
            [sys.executable, "-P", "-m", "gwcluster", "run", str(file), "--simulate"],
            stderr=subprocess.DEVNULL,
            env=environ,
        )
        with subscribed(f"ipc://{folder}/events", "MESSAGE_CREATE.0.") as receive:
            assert receive(15.0) is not None
        everyone = [run.pid, *(pid for child in children(run.pid) for pid in (child, *children(child)))]
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == 0
        until(lambda: not any(is_alive(pid) for pid in everyone), "everyone's end", 2.0)
        assert [path.name for path in folder.iterdir()] == ["cluster.yaml"]
