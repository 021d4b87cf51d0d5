"""Hundreds of subscribers, some of whom never read, and what the workers notice of it: nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import zmq

import gwcluster
from gwcluster.log import Reader
from gwsimulator import Settings
from support.cluster import running, until
from support.discord import discord

pytestmark = pytest.mark.e2e

SUBSCRIBERS = 300
DEAF = 20


def test_hundreds_of_subscribers_cost_the_workers_nothing(tmp_path: Path) -> None:
    settings = Settings(shards=2, guilds=6, rate=60.0, max_concurrency=2)
    with discord(settings) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            subs = [context.socket(zmq.SUB) for _ in range(SUBSCRIBERS)]
            for at, sub in enumerate(subs):
                sub.rcvhwm = 1 if at < DEAF else 0
                sub.subscribe("TYPING_START." if at >= DEAF else "")
                sub.connect(cluster.events)
            mark = {"marked": "for everybody"}

            def everybody_heard() -> bool:
                sim.emit("TYPING_START", mark, shard=1)
                return all(_has_marked(sub) for sub in subs[DEAF:])

            until(everybody_heard, "all subscribers", 30)
            deadline = time.monotonic() + 3
            while time.monotonic() < deadline:  # the deaf ones fall behind, and are behind all the while
                for sub in subs[DEAF:]:
                    _has_marked(sub)
            with gwcluster.connect(cluster.file) as connected:
                until(lambda: all(s["state"] == "live" for s in connected.status()["shard"]), "live shards")
            for shard in range(2):
                sent = sim.ledger.dispatches(shard=shard)
                assert len(sent) > 100
                reader = Reader(cluster.state / "shards" / str(shard))
                until(
                    lambda r=reader, s=sent: (
                        [e.seq for e in r.records() if e.seq][: len(s)] == [o.seq for o in s]
                    ),  # type: ignore[misc]
                    f"all {len(sent)} events in the log of shard {shard}",
                    5,
                )
        finally:
            context.destroy(linger=0)
        assert cluster.stop() == 0


def _has_marked(sub: zmq.Socket[bytes]) -> bool:
    """Read what is there; say whether what everybody waits for was among it, now or before."""
    try:
        while True:
            frames = sub.recv_multipart(zmq.DONTWAIT)
            if b'"marked"' in frames[2]:
                _marked.add(id(sub))
    except zmq.Again:
        return id(sub) in _marked


_marked: set[int] = set()
