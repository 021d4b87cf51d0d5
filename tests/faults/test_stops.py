"""F71, F75, F79 and F80: workers and clusters that are killed, stopped and restarted.

"When you close ... with close code 1000 or 1001, your session will be invalidated":
https://docs.discord.com/developers/events/gateway#initiating-a-disconnect
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import ssl
import time
from pathlib import Path

import pytest

from gwcluster.log import Reader
from gwsimulator import Settings, ThreadedSimulator
from gwworker.gateway_link import GatewayLink
from support import hangups
from support.cluster import Cluster, is_alive, kill, running, until
from support.discord import discord
from support.happenings import emit
from support.scene import Scene, stage


def logged(cluster: Cluster, shard: int = 0) -> list[tuple[int, bytes]]:
    records = Reader(cluster.state / "shards" / str(shard)).records()
    return [(one.seq, one.payload) for one in records if one.seq is not None]


def sent(sim: ThreadedSimulator, shard: int = 0) -> list[tuple[int, bytes]]:
    return [(one.seq, one.payload or b"") for one in sim.ledger.dispatches(shard=shard)]


def our_closes(sim: ThreadedSimulator) -> set[int | None]:
    return {one.code for one in sim.ledger.closes if one.by == "client"}


# Killed


@pytest.mark.parametrize("trims", [False, True], ids=["buffer kept", "buffer trimmed by heartbeats"])
def test_f75_the_successor_of_a_killed_worker_resumes_from_the_last_event_it_handed_over(
    tmp_path: Path, trims: bool
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        for round_ in range(3):
            emit(scene, 7)
            await scene.run_for(50.0)  # at least one heartbeat
            last = scene.seqs()[-1]
            scene.worker(0).kill()
            emit(scene, 5)  # some may reach the socket of the dead
            await scene.until(lambda round_=round_: len(scene.sim.ledger.resumes) > round_)  # type: ignore[misc]
            resume = scene.sim.ledger.resumes[-1]
            assert (resume.seq, resume.outcome) == (last, "resumed")
            await scene.live()
        assert scene.seqs() == list(range(1, 3 + 3 * 13 + 1))
        assert len(scene.sim.ledger.identifies) == 1
        assert scene.notices("GWCLUSTER_SESSION_LOST") == []

    stage(tmp_path, play, heartbeat_trims=trims)


@pytest.mark.parametrize("code", [4000, 1000, None])
def test_f75_a_successor_takes_the_session_over_if_discord_has_not_noticed_the_death(
    tmp_path: Path, code: int | None
) -> None:
    # What Discord does with the older connection is not documented; nobody is there to hear of it.
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.stall(0)  # the end of the connection is not read
        scene.worker(0).kill()
        emit(scene, 5)
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        await scene.run_for(60.0)
        (resume,) = scene.sim.ledger.resumes
        assert resume.outcome == "resumed"
        assert resume.took_over is not None
        assert scene.seqs() == list(range(1, 10))
        assert len(scene.sim.ledger.connections) == 2
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, takeover_code=code)


@pytest.mark.e2e
def test_f75_kill_9_costs_no_event_and_no_identify(tmp_path: Path) -> None:
    chosen = Settings(shards=1, guilds=3, rate=300.0, buffer_events=10_000)
    with discord(chosen) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        for deaths in (1, 2):
            time.sleep(0.3)
            (victim,) = cluster.workers(1).values()
            os.kill(victim, signal.SIGSTOP)
            until(lambda pid=victim: is_stopped(pid), "the stop")  # type: ignore[misc]
            last = logged(cluster)[-1][0]
            kill(victim)
            until(lambda count=deaths: len(sim.ledger.resumes) == count, "a resume")  # type: ignore[misc]
            resume = sim.ledger.resumes[-1]
            assert (resume.seq, resume.outcome) == (last, "resumed")
            until(lambda pid=victim: not is_alive(pid), "its end")  # type: ignore[misc]
        time.sleep(0.3)
        assert cluster.stop() == 0
        log = logged(cluster)
        assert [seq for seq, _ in log] == list(range(1, len(log) + 1))
        assert log == sent(sim)[: len(log)]
        assert len(sim.ledger.identifies) == 1


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


@pytest.mark.e2e
def test_f71_a_long_replay_is_not_held_in_memory_and_does_not_delay_heartbeats(tmp_path: Path) -> None:
    chosen = Settings(shards=1, guilds=1, buffer_events=9000, heartbeat_interval_ms=2000)
    room = "{retention: {bytes: 256MiB}}"
    with discord(chosen) as sim, running(tmp_path, sim.api, compression="none", log=room) as cluster:
        cluster.wait_ready()
        (worker,) = cluster.workers(1).values()
        before = peak_bytes(worker)
        sim.refuse_resume("abort")  # so that the events below come by a replay
        sim.abort(0)
        for _ in range(8000):
            sim.emit("TYPING_START", {"text": "x" * 12_000}, shard=0)
        until(lambda: sim.ledger.resumes and sim.ledger.resumes[-1].outcome == "resumed", "the replay")
        for _ in range(100):
            sim.emit("TYPING_START", {}, shard=0)
        last = sent(sim)[-1][0]
        until(lambda: any((one.seq or 0) >= last for one in sim.ledger.beats), "the last event")
        # What subscribers haven't taken waits in memory: 16 MiB and a thousand events, then it is dropped.
        assert peak_bytes(worker) - before < 48_000_000, "96 MB came"
        assert cluster.stop() == 0
        seqs = [seq for seq, _ in logged(cluster)]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert seqs[-1] >= last
        assert sim.ledger.resumes[-1].replayed > 1000


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


# Stopped


def test_f79_an_orderly_restart_closes_resumably_and_costs_no_identify(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        assert await scene.stop() == 0
        ends = [(one.by, one.code) for one in scene.sim.ledger.closes]
        assert ends == [("client", 4900)] * 3
        await scene.run_for(30.0)
        assert len(scene.sim.ledger.connections) == 3, "who has stopped stays away"
        for shard in range(3):
            emit(scene, 5, shard)
        await scene.start()
        await scene.live()
        assert [one.outcome for one in scene.sim.ledger.resumes] == ["resumed"] * 3
        assert len(scene.sim.ledger.identifies) == 3
        assert all(scene.seqs(shard) == list(range(1, 11)) for shard in range(3))

    stage(tmp_path, play, shards=3, guilds=9)


def test_f79_an_operators_restart_of_one_shard_is_resumed_and_leaves_the_others_alone(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        assert scene.crew.supervisor.restart(1, scene.loop.time()) is None
        scene.crew.release()
        await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        (close,) = scene.sim.ledger.closes
        assert (close.shard, close.by, close.code) == (1, "client", 4900)
        (resume,) = scene.sim.ledger.resumes
        assert resume.outcome == "resumed"
        assert resume.at - close.at < 30.0, "the bot notices next to nothing of it"
        assert len(scene.sim.ledger.identifies) == 3

    stage(tmp_path, play, shards=3, guilds=9)


def test_f79_sessions_are_given_up_only_when_the_operator_says_so(tmp_path: Path) -> None:
    # No connection is open when they are given up, so there is nothing to close with 1000: Discord forgets
    # them by itself within minutes.
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.stop()
        await scene.start(fresh=True)
        await scene.live()
        assert scene.sim.ledger.resumes == []
        assert len(scene.sim.ledger.identifies) == 6
        assert len(scene.notices("GWCLUSTER_SESSION_LOST")) == 3

    stage(tmp_path, play, shards=3, guilds=9)


@pytest.mark.e2e
def test_f79_f80_no_signal_to_a_worker_or_to_all_ends_a_session(tmp_path: Path) -> None:
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT, signal.SIGKILL]
    count = len(signals)
    chosen = Settings(shards=count, guilds=count, max_concurrency=count, rate=20.0)
    with hangups.heard(), discord(chosen) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        workers = cluster.workers(count)
        for shard, one in enumerate(signals):
            os.kill(workers[shard], one)
        until(lambda: len({one.shard for one in sim.ledger.resumes}) >= 4, "their resumes")
        until(lambda: all_attached(sim, count), "all sessions attached")
        assert cluster.process is not None
        cluster.process.send_signal(signal.SIGINT)
        assert cluster.process.wait(15) == 0
        assert {1000, 1001} & our_closes(sim) == set()
        assert {one.outcome for one in sim.ledger.resumes} == {"resumed"}
        assert len(sim.ledger.identifies) == count


def all_attached(sim: ThreadedSimulator, count: int) -> bool:
    closed = {one.link for one in sim.ledger.closes}
    started = [one.link for one in sim.ledger.identifies] + [one.link for one in sim.ledger.resumes]
    return len(set(started) - closed) == count


# What ends the code around a connection


class Quiet:
    """Wants to know when the link is open, and fails at the first message if asked to."""

    def __init__(self, *, fails: bool) -> None:
        self.open = asyncio.Event()
        self._fails = fails

    def opened(self, link: GatewayLink) -> None:
        self.open.set()

    def dial_failed(self, link: GatewayLink, reason: str, retry_after_s: float) -> None:
        raise AssertionError(reason)

    def received(self, link: GatewayLink, messages: list[tuple[bool, bytes]]) -> None:
        if self._fails:
            raise KeyError("a bug")

    def lost(self, link: GatewayLink, code: int | None, fault: str | None) -> None:
        pass


@pytest.mark.parametrize("how", ["return", "break", "exception", "cancellation", "bug in a callback"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the socket that nobody closes
def test_f80_whatever_ends_the_code_around_a_connection_the_wire_never_says_1000_or_1001(how: str) -> None:
    with discord(Settings(shards=1, guilds=1)) as sim:

        async def hold() -> None:
            listener = Quiet(fails=how == "bug in a callback")
            url = f"{sim.gateway_url}/?v=10&encoding=json"
            link = GatewayLink(url, tls=ssl.create_default_context(), listener=listener, user_agent="test")
            for _ in range(1):
                await asyncio.wait_for(listener.open.wait(), 5.0)
                if how == "break":
                    break
                if how == "exception":
                    raise KeyError("a bug")
                if how == "cancellation":
                    raise asyncio.CancelledError
                if how == "bug in a callback":
                    await asyncio.wait_for(link.closed, 5.0)

        with contextlib.suppress(KeyError, asyncio.CancelledError):
            asyncio.run(hold())
        gc.collect()
        (close,) = until(lambda: sim.ledger.closes, "the end of the connection")
        assert (close.by, close.code) == ("client", None)
