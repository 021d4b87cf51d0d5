"""Requests to a whole cluster of real processes."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gwsimulator import Settings
from support.asking import Asking, asking
from support.cluster import Cluster, Message, kill, running, subscribed, until
from support.discord import discord
from support.flood import Flood

pytestmark = pytest.mark.e2e


def settings(**changed: Any) -> Settings:
    values: dict[str, Any] = {"shards": 4, "guilds": 12, "rate": 40.0, "max_concurrency": 4}
    return Settings(**(values | changed))


def requests_of(cluster: Cluster) -> str:
    return f"ipc://{cluster.folder}/requests"


def whole_log(client: Asking, shard: int, **fields: Any) -> list[list[bytes]]:
    """Return all that is in a shard's log by now, page by page."""
    found = client.ask("replay", shard=shard, **fields)
    events: list[list[bytes]] = found["events"]
    while found["more"]:
        found = client.ask("replay", shard=shard, epoch=found["epoch"], after=found["last"], **fields)
        events += found["events"]
    return events


def test_what_was_published_can_be_had_again_frame_by_frame(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        received: dict[int, list[list[bytes]]] = defaultdict(list)
        with subscribed(cluster.events) as receive, asking(requests_of(cluster)) as (client,):
            cluster.wait_ready()
            deadline = time.monotonic() + 2.0
            while time.monotonic() < deadline:
                if (message := receive(0.1)) is not None and message.is_logged:
                    received[message.shard].append(message.frames)
            for shard, frames in received.items():
                events = whole_log(client, shard, limit=25)
                at = events.index(frames[0])
                assert events[at : at + len(frames)] == frames
                messages = [each for each in events if each[0].startswith(b"MESSAGE_CREATE.")]
                assert whole_log(client, shard, names=["MESSAGE_CREATE"])[: len(messages)] == messages
        assert len(received) == 4


def test_a_payload_goes_to_discord_and_its_answer_to_who_asked(tmp_path: Path) -> None:
    with (
        discord(settings()) as sim,
        running(tmp_path, sim.api) as cluster,
        asking(requests_of(cluster)) as (client,),
    ):
        cluster.wait_ready()
        presence = {"op": 3, "d": {"status": "dnd", "activities": [], "since": None, "afk": False}}
        assert client.ask("send", shard=2, payload=presence) == {"v": 1, "id": 1, "ok": True}
        until(lambda: sim.ledger.commands, "the presence")
        assert [(one.shard, one.op, one.data["status"]) for one in sim.ledger.commands] == [(2, 3, "dnd")]
        refused = client.ask("send", shard=2, payload={"op": 2, "d": {}})["error"]
        assert refused["code"] == "forbidden_opcode"


def test_the_status_tells_of_every_shard(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        with asking(requests_of(cluster)) as (client,):
            cluster.wait_ready()

            def all_beaten() -> dict[str, Any] | None:
                status: dict[str, Any] = client.ask("status")["status"]
                return status if all(one["pulse_age_s"] is not None for one in status["shard"]) else None

            status = until(all_beaten, "a pulse of every shard") or {}
        assert (status["name"], status["pid"], status["shards"]) == ("e2e", cluster.pid, 4)
        assert (status["ready"], status["total"], status["ids"]) == (4, 4, [0, 1, 2, 3])
        assert status["identifies"]["remaining"] == 996
        assert {one["state"] for one in status["shard"]} == {"live"}
        assert {one["shard"]: one["pid"] for one in status["shard"]} == cluster.workers(4)
        assert status["started_at"] < status["now"] < time.time() + 1


def test_logs_are_told_while_a_shard_has_no_worker_and_after_a_restart(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        with asking(requests_of(cluster)) as (client,):
            cluster.wait_ready()
            before = whole_log(client, 1)
            kill(cluster.workers(4)[1])
            assert whole_log(client, 1)[: len(before)] == before
        assert cluster.stop() == 0
        cluster.start()
        with asking(requests_of(cluster)) as (client,):
            cluster.wait_ready(times=2)
            assert whole_log(client, 1)[: len(before)] == before


def test_a_stop_is_quick_whatever_clients_do_and_leaves_no_socket(tmp_path: Path) -> None:
    with discord(settings(rate=200.0)) as sim, running(tmp_path, sim.api) as cluster:
        with asking(requests_of(cluster), 8) as clients:
            cluster.wait_ready()
            for client in clients:
                for _ in range(100):
                    client.post("replay", shard=0)
            started = time.monotonic()
            assert cluster.stop() == 0
            assert time.monotonic() - started < 10.0
        assert not (tmp_path / "requests").exists()


def test_an_address_that_is_taken_is_an_error_that_says_so(tmp_path: Path) -> None:
    with discord(settings()) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        (tmp_path / "other").mkdir()
        other = Cluster(tmp_path / "other", sim.api, requests=f"{{bind: '{requests_of(cluster)}'}}")
        assert other.start().wait(20) == 1
        assert f"can't bind {requests_of(cluster)}: another process listens there" in other.text()


def more_of(
    events: list[Message], receive: Callable[[float], Message | None], count: int
) -> Callable[[], bool]:
    """Return a condition that takes what comes, and is true when that was so many."""
    wanted = len(events) + count

    def look() -> bool:
        while (message := receive(0.0)) is not None:
            events.append(message)
        return len(events) >= wanted

    return look


def rss_mib(pid: int) -> float:
    """Return the memory that a process has in use."""
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")
    ]
    return int(line.split()[1]) / 1024


def check_whole(events: list[Message]) -> None:
    """Fail unless each shard's events came in order and without a gap."""
    offsets: dict[int, int] = {}
    for message in filter(lambda message: message.is_logged, events):
        expected = offsets.get(message.shard, message.header["offset"] - 1) + 1
        assert message.header["offset"] == expected, f"shard {message.shard}"
        offsets[message.shard] = expected
    assert offsets.keys() == {0, 1, 2, 3}


def test_a_flood_of_requests_holds_up_neither_events_nor_heartbeats_nor_other_requests(
    tmp_path: Path,
) -> None:
    clients = 12
    # The simulator says at the end whether a heartbeat was late.
    quick = settings(rate=100.0, heartbeat_interval_ms=1000, heartbeat_tolerance=1.0)
    events: list[Message] = []
    with (
        discord(quick) as sim,
        running(tmp_path, sim.api) as cluster,
        subscribed(cluster.events) as receive,
        asking(requests_of(cluster)) as (client,),
    ):
        cluster.wait_ready()
        until(lambda: all(client.ask("replay", shard=shard, after=300)["ok"] for shard in range(4)), "logs")
        until(more_of(events, receive, 1200), "events")
        before = rss_mib(cluster.pid)
        with Flood(requests_of(cluster), clients, 4) as flood:
            until(lambda: flood.served > 50 and flood.refused > 500 and flood.others > 500, "the flood")
            for turn in range(12):
                assert client.ask("status")["ok"] is True
                if turn < 4:  # a second presence would have to wait, for Discord's sake
                    presence = {"op": 3, "d": {"status": "idle"}}
                    assert client.ask("send", shard=turn, payload=presence)["ok"] is True
                served = flood.served
                assert client.ask("replay", shard=turn % 4, limit=1)["ok"] is True
                assert flood.served - served < 4 * clients  # one each, and what was on its way
                until(more_of(events, receive, 100), "events")
            grown = rss_mib(cluster.pid) - before
            assert flood.wrong == 0
        assert grown < 100.0
        check_whole(events)
        assert {message.shard for message in events if message.name == "GWCLUSTER_BEACON"} == {0, 1, 2, 3}
        assert cluster.stop() == 0


def test_a_disk_that_hangs_holds_up_replays_and_nothing_else(tmp_path: Path) -> None:
    quick = settings(rate=100.0, heartbeat_interval_ms=1000, heartbeat_tolerance=1.0)
    events: list[Message] = []
    with (
        discord(quick) as sim,
        running(tmp_path, sim.api) as cluster,
        subscribed(cluster.events) as receive,
        asking(requests_of(cluster), 2) as (client, patient),
    ):
        cluster.wait_ready()
        hangs = cluster.state / "shards" / "0" / f"{10**9:020d}.log"
        os.mkfifo(hangs)  # who opens it waits for somebody who writes
        patient.post("replay", shard=0)
        patient.post("replay", shard=1)
        for turn in range(4):
            assert client.ask("status")["ok"] is True
            presence = {"op": 3, "d": {"status": "idle"}}
            assert client.ask("send", shard=turn, payload=presence)["ok"] is True
            until(more_of(events, receive, 300), "events")
        assert not patient.socket.poll(0)
        hangs_still = os.open(hangs, os.O_WRONLY)
        hangs.unlink()
        os.close(hangs_still)
        assert [patient.answer()["id"] for _ in range(2)] == [1, 2]
        check_whole(events)
        assert cluster.stop() == 0
