"""The program of docs/wire.md that misses nothing, behind a line that loses a lot."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from gwcluster.log import Reader
from gwsimulator import Settings
from support.cluster import kill, running
from support.discord import discord
from support.lossy import Lossy

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text()
FOLLOWER = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[1]


def test_it_prints_every_event_once_and_in_order_whatever_is_lost_and_whoever_dies(tmp_path: Path) -> None:
    busy = Settings(shards=2, guilds=4, rate=80.0, max_concurrency=2)
    with discord(busy) as sim, running(tmp_path, sim.api) as cluster:
        cluster.wait_ready()
        address = f"ipc://{tmp_path}/lossy"
        addresses = [address, f"ipc://{tmp_path}/requests"]
        command = [sys.executable, "-c", FOLLOWER, *addresses, "MESSAGE_CREATE", "MESSAGE_UPDATE"]
        with (
            Lossy(cluster.events, address, None) as line,
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower,
        ):
            time.sleep(3.0)
            kill(cluster.workers(2)[1])
            time.sleep(5.0)
            follower.terminate()
            assert follower.stdout is not None
            lines = follower.stdout.read().splitlines()
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
