"""F48 and F58 with real processes: who is killed in the middle of a start takes no window along."""

from __future__ import annotations

from pathlib import Path

import pytest

from gwsimulator import Settings
from support.cluster import kill, running, until
from support.discord import discord
from support.identifies import WINDOW_S, gaps


@pytest.mark.e2e
def test_f48_f58_the_window_outlives_the_worker_that_identified_and_then_the_coordinator(
    tmp_path: Path,
) -> None:
    with discord(Settings(shards=2, guilds=2)) as sim:
        sim.refuse_identify("silent", shard=0)
        with running(tmp_path, sim.api) as cluster:
            until(lambda: sim.ledger.identifies, "the first IDENTIFY")
            kill(cluster.workers(2)[0])  # nobody knows what would have become of it
            until(lambda: len(sim.ledger.identifies) == 2, "the next one")
            until(lambda: any(one.outcome == "ready" for one in sim.ledger.identifies), "a session")
            until(lambda: ": READY after" in cluster.text(), "a live shard")
            kill(cluster.pid)
            assert cluster.process is not None
            cluster.process.wait()
            cluster.start()
            cluster.wait_ready()
            assert cluster.stop() == 0
        identifies = sim.ledger.identifies
        assert sorted(one.shard or 0 for one in identifies) == [0, 0, 1], "the killed one's counts, too"
        assert min(gaps(identifies)) >= WINDOW_S
        assert [one.outcome for one in sim.ledger.resumes] == ["resumed"], "who was live resumes"
