"""A whole cluster that asks for keys, and the library, tail, and strangers at its doors."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gwcluster
from gwcluster.curve.key_files import read_secret
from gwsimulator import Settings
from support.cluster import Cluster, running, until
from support.discord import discord
from support.keys import Keys, pair, write

pytestmark = pytest.mark.e2e

SECONDS = 30.0
PRESENCE = {"op": 3, "d": {"status": "dnd", "activities": [], "since": None, "afk": False}}


class Place:
    """A cluster and the keys to it."""

    def __init__(self, cluster: Cluster, keys: Keys) -> None:
        self.cluster = cluster
        self.keys = keys

    def key(self, name: str, may: str = "read") -> gwcluster.Curve:
        """Make a client's key, and wait until the cluster knows it."""
        made = self.secret(name, may)
        return gwcluster.Curve.load(made, self.keys.folder / "cluster.key")

    def secret(self, name: str, may: str = "read") -> Path:
        path = self.keys.folder / f"{name}.key_secret"
        write(path, self.keys.client(name, may))
        until(lambda: f"client {name} may now" in self.cluster.text(), "the key to be taken")
        return path

    def stranger(self) -> gwcluster.Curve:
        made = pair()
        assert made.secret_key is not None
        server = self.keys.server.public_key.decode()
        return gwcluster.Curve(server, made.public_key.decode(), made.secret_key.decode())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("keys")
    keys = Keys(folder / "keys")
    settings = Settings(shards=2, guilds=6, rate=40.0, max_concurrency=2)
    with discord(settings) as sim, running(folder, sim.api, security=keys.setting) as cluster:
        cluster.wait_ready()
        yield Place(cluster, keys)
        assert cluster.stop() == 0
        secrets = {read_secret(path).secret_key or b"" for path in keys.folder.glob("*.key_secret")}
        assert secrets
        for secret in secrets:
            assert all(secret not in written for written in cluster.left_behind())


def test_with_a_key_both_shells_read_and_send_what_the_key_is_good_for(place: Place) -> None:
    keys = place.key("bot", "read,send")

    async def scenario() -> None:
        async with asyncio.timeout(SECONDS), gwcluster.connect(place.cluster.file, curve=keys) as cluster:
            assert (await cluster.status())["name"] == "e2e"
            await cluster.send(PRESENCE, shard=0)
            subscription = cluster.subscribe("MESSAGE_CREATE")
            assert {(await anext(subscription)).name for _ in range(5)} >= {"MESSAGE_CREATE"}

    asyncio.run(scenario())
    with gwcluster.connect(place.cluster.file, curve=keys) as cluster:
        assert cluster.status()["name"] == "e2e"
        cluster.send(PRESENCE, shard=1)
        assert cluster.subscribe("MESSAGE_CREATE").poll(SECONDS) is not None


def test_a_stranger_is_told_so_by_every_call_of_both_shells(place: Place) -> None:
    keys = place.stranger()

    async def scenario() -> None:
        async with asyncio.timeout(SECONDS), gwcluster.connect(place.cluster.file, curve=keys) as cluster:
            for _ in range(2):
                with pytest.raises(gwcluster.KeyRefused, match="doesn't know this key"):
                    await cluster.status()
            with pytest.raises(gwcluster.KeyRefused, match="doesn't know this key"):
                await anext(cluster.subscribe("MESSAGE_CREATE"))

    asyncio.run(scenario())
    with gwcluster.connect(place.cluster.file, curve=keys) as cluster:
        for _ in range(2):
            with pytest.raises(gwcluster.KeyRefused, match="doesn't know this key"):
                cluster.send(PRESENCE, shard=0)
        with pytest.raises(gwcluster.KeyRefused, match="doesn't know this key"):
            cluster.subscribe().poll(SECONDS)


def test_without_a_key_one_is_told_that_one_is_needed(place: Place) -> None:
    events, requests = place.cluster.events, f"ipc://{place.cluster.folder}/requests"

    async def scenario() -> None:
        async with asyncio.timeout(SECONDS), gwcluster.connect(events=events, requests=requests) as cluster:
            with pytest.raises(gwcluster.KeyRefused, match="lets nobody in without a key"):
                await cluster.status()
            with pytest.raises(gwcluster.KeyRefused, match="lets nobody in without a key"):
                await anext(cluster.subscribe())

    asyncio.run(scenario())


def test_a_key_is_good_for_nothing_else_than_it_says(place: Place) -> None:
    reader, sender = place.key("reader", "read"), place.key("sender", "send")
    with gwcluster.connect(place.cluster.file, curve=reader) as cluster:
        with pytest.raises(gwcluster.SendRefused, match="client reader may read") as caught:
            cluster.send(PRESENCE, shard=0)
        assert (caught.value.code, caught.value.retry_after) == ("forbidden", None)
    with gwcluster.connect(place.cluster.file, curve=sender) as cluster:
        cluster.send(PRESENCE, shard=0)
        with pytest.raises(gwcluster.KeyRefused, match="client sender may send"):
            cluster.status()
        with pytest.raises(gwcluster.KeyRefused):
            cluster.subscribe("MESSAGE_CREATE").poll(SECONDS)


def read_on(subscription: gwcluster.BlockingSubscription) -> None:
    """Read for a while."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        subscription.poll(1.0)


def test_a_key_that_is_removed_ends_its_subscription_and_costs_others_no_event(place: Place) -> None:
    stays, goes = place.key("stays"), place.key("goes")
    removed = threading.Event()
    offsets: list[tuple[int, int]] = []
    gaps: list[Any] = []
    with gwcluster.connect(place.cluster.file, curve=goes) as losing:
        lost = losing.subscribe()
        assert lost.poll(SECONDS) is not None

        def read() -> None:
            with gwcluster.connect(place.cluster.file, curve=stays) as cluster:
                for event in cluster.subscribe(shards=[0]):
                    if event.name == "GWCLUSTER_GAP":
                        gaps.append(event.data)
                    elif event.name != "GWCLUSTER_CLUSTER_STATE":
                        offsets.append((event.shard, event.offset))
                    if removed.is_set():
                        return

        reader = threading.Thread(target=read)
        reader.start()
        try:
            until(lambda: len(offsets) > 50, "events")
            (place.keys.clients_dir / "goes.key").unlink()
            with pytest.raises(gwcluster.KeyRefused, match="doesn't know this key"):
                read_on(lost)
            seen = len(offsets)
            until(lambda: len(offsets) > seen + 50, "events after the others were made to connect again")
        finally:
            removed.set()
            reader.join(SECONDS)
    numbers = [offset for _, offset in offsets]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert gaps == []
    assert "a key may no longer read: every subscriber is made to connect again" in place.cluster.text()


def test_tail_takes_its_key_by_option_or_environment_and_says_when_it_is_refused(place: Place) -> None:
    secret = place.secret("tail")
    stranger = place.keys.folder / "stranger.key_secret"
    write(stranger, pair())

    def tail(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "gwcluster",
                "tail",
                str(place.cluster.file),
                "--count",
                "2",
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env={"PATH": os.environ["PATH"], "HOME": "/", **environ},
        )

    for done in (tail("--key", str(secret)), tail(GWCLUSTER_KEY=str(secret))):
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
    refused = tail("--key", str(stranger))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "doesn't know this key, or it may not read" in refused.stderr
    missing = tail()
    assert missing.returncode == 1
    assert "this cluster lets nobody in without a key" in missing.stderr
