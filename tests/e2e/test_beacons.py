"""Beacons of real workers: when they come, and that each is true."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from gwsimulator import Settings
from support.cluster import Message, kill, running, subscribed, until
from support.discord import discord

pytestmark = pytest.mark.e2e

BEACON = "GWCLUSTER_BEACON"


def follows(messages: list[Message], receive: Callable[[float], Message | None]) -> Callable[[], bool]:
    """Return a condition that is never true, but takes what comes."""

    def look() -> bool:
        while (message := receive(0.01)) is not None:
            messages.append(message)
        return False

    return look


def is_live(message: Message) -> bool:
    """Say whether a message says that a shard became live."""
    if message.name != "GWCLUSTER_SHARD_STATE":
        return False
    told: dict[str, object] = json.loads(message.payload)["d"]
    return told["state"] == "live"


def test_a_beacon_comes_at_once_after_each_start_and_reconnect_and_is_true_whenever_it_comes(
    tmp_path: Path,
) -> None:
    with (
        discord(Settings(shards=2, guilds=4, rate=40.0, max_concurrency=2)) as sim,
        running(tmp_path, sim.api) as cluster,
        subscribed(cluster.events) as receive,
    ):
        seen: list[Message] = []
        look = follows(seen, receive)

        def lives(shard: int, times: int) -> bool:
            look()
            at = [index for index, one in enumerate(seen) if one.shard == shard and is_live(one)]
            behind = seen[at[times - 1] :] if len(at) >= times else []
            return any(one.name == BEACON and one.shard == shard for one in behind)

        cluster.wait_ready()
        until(lambda: lives(0, 1) and lives(1, 1), "beacons after the start")
        sim.close(0, 4000)
        until(lambda: lives(0, 2), "a beacon after a RESUME")
        sim.forget_session(1)
        sim.abort(1)
        until(lambda: lives(1, 2), "a beacon of a new session", 40.0)
        kill(cluster.workers(2)[0])
        until(lambda: lives(0, 3), "a beacon of a successor")
        stopped = cluster.workers(2)[1]
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(4.0)  # beacons that would have come meanwhile are not made up for
        os.kill(stopped, signal.SIGCONT)
        count = sum(one.name == BEACON and one.shard == 1 for one in seen)
        until(
            lambda: look() or sum(one.name == BEACON and one.shard == 1 for one in seen) > count + 2, "more"
        )
        assert cluster.stop() == 0
        look()
        logged = cluster.logged()
    for shard in (0, 1):
        mine = [one for one in seen if one.shard == shard]
        beacons = [one for one in mine if one.name == BEACON]
        for beacon in beacons:
            last = beacon.header["offset"]
            before = [one for one in logged if one.shard == shard and one.header["offset"] <= last]
            assert json.loads(beacon.payload)["d"] == {
                "names": {one.name: one.header["offset"] for one in before}
            }
            assert {one.header["epoch"] for one in before} <= {beacon.header["epoch"]}
        at_once = []
        for state in filter(is_live, mine):
            next_beacon = next(one for one in mine[mine.index(state) :] if one.name == BEACON)
            assert next_beacon.header["at"] - state.header["at"] < 1.0  # by the worker's own clock
            assert next_beacon.header["session"] == state.header["session"]
            at_once.append(next_beacon)
        regular = [one.header["at"] for one in beacons if one not in at_once and shard == 1]
        assert all(after - before > 1.9 for before, after in pairwise(regular))
