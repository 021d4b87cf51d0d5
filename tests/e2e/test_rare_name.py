"""A subscriber of one rare name on many busy shards: what it lost comes, though nothing like it follows."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

import gwcluster
from gwcluster.client import BlockingSubscription
from gwsimulator import Settings
from support.cluster import running, until
from support.discord import discord
from support.lossy import Lossy

pytestmark = pytest.mark.e2e

RARE = "GUILD_SCHEDULED_EVENT_CREATE"  # the simulator never sends one by itself
SHARDS = 16


def test_a_lost_event_of_a_rare_name_comes_with_the_next_beacon(tmp_path: Path) -> None:
    settings = Settings(shards=SHARDS, guilds=32, rate=40.0, max_concurrency=16)
    address = f"ipc://{tmp_path / 'lossy'}"
    with discord(settings) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        with (
            Lossy(cluster.events, address, [RARE], share=1.0) as lossy,
            gwcluster.connect(events=address, requests=f"ipc://{cluster.folder}/requests") as connected,
        ):
            subscription = connected.subscribe(RARE, "GWCLUSTER_BEACON")
            until(lambda: len(beacons(subscription, SHARDS)) == SHARDS, "a beacon of every shard")
            for shard in range(SHARDS):
                sim.emit(RARE, {"id": str(shard)}, shard=shard)
            until(lambda: lossy.lost == SHARDS, "the loss of all of them")
            since: dict[int, int] = defaultdict(int)  # shard: beacons since then
            came = 0
            while came < SHARDS:
                event = subscription.poll(20.0)
                assert event is not None, f"{came} of {SHARDS} lost events came"
                if event.name == "GWCLUSTER_BEACON":
                    since[event.shard] += 1
                elif event.name == RARE:
                    came += 1
                    assert since[event.shard] <= 2, "the first one may have been on its way before the loss"
            assert sum(len(sim.ledger.dispatches(shard=shard)) for shard in range(SHARDS)) > 1_000
        assert cluster.stop() == 0


def beacons(subscription: BlockingSubscription, count: int) -> set[int]:
    """Return the shards of the next beacons."""
    found = set()
    for _ in range(2 * count):
        event = subscription.poll(20.0)
        if event is not None and event.name == "GWCLUSTER_BEACON":
            found.add(event.shard)
    return found
