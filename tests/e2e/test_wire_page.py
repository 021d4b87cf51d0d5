"""The program of docs/wire.md that misses nothing, behind a line that loses a lot."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest
import zmq

from gwcluster.log import Reader
from gwsimulator import Settings
from support.cluster import kill, running
from support.discord import discord

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
FOLLOWER = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[1]


class Lossy:
    """Hands on what is published, but not all of it.

    Attributes:
        lost: how many messages it swallowed.
    """

    def __init__(self, events: str, address: str) -> None:
        self.address = address
        self.lost = 0
        self._events = events
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        dice = random.Random(7)
        with zmq.Context() as context, context.socket(zmq.SUB) as sub, context.socket(zmq.PUB) as pub:
            pub.linger = 0
            pub.bind(self.address)
            sub.subscribe("")
            sub.connect(self._events)
            while not self._over.is_set():
                if sub.poll(50):
                    frames = sub.recv_multipart()
                    if dice.random() < 0.3:
                        self.lost += 1
                    else:
                        pub.send_multipart(frames)


def test_it_prints_every_event_once_and_in_order_whatever_is_lost_and_whoever_dies(tmp_path: Path) -> None:
    busy = Settings(shards=2, guilds=4, rate=80.0, max_concurrency=2)
    with discord(busy) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        line = Lossy(cluster.events, f"ipc://{tmp_path}/lossy")
        addresses = [line.address, f"ipc://{tmp_path}/requests"]
        command = [sys.executable, "-c", FOLLOWER, *addresses, "MESSAGE_CREATE", "MESSAGE_UPDATE"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
            time.sleep(3.0)
            kill(cluster.workers(2)[1])
            time.sleep(5.0)
            follower.terminate()
            assert follower.stdout is not None
            lines = follower.stdout.read().splitlines()
        line.close()
        assert cluster.stop() == 0
        assert line.lost > 100
        printed: dict[tuple[str, int], list[int]] = defaultdict(list)
        for name, where, offset in map(str.split, lines):
            printed[name, int(where)].append(int(offset))
        assert printed.keys() >= {("MESSAGE_CREATE", 0), ("MESSAGE_CREATE", 1)}
        for (name, shard), offsets in printed.items():
            records = Reader(cluster.state / "shards" / str(shard)).records()
            logged = [one.offset for one in records if one.name == name]
            begin, end = logged.index(offsets[0]), logged.index(offsets[-1])
            assert offsets == logged[begin : end + 1]
        assert sum(map(len, printed.values())) > 200
