"""A stand-in Discord for tests with real processes, which looks at the end whether everybody behaved."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from gwsimulator import Settings, ThreadedSimulator, in_thread
from support.cluster import Cluster
from support.verdict import verdict


@contextmanager
def discord(
    settings: Settings, *, violated: Collection[str] = (), excused: Collection[str] = (), **limits: Any
) -> Iterator[ThreadedSimulator]:
    """Run a simulator as long as the block runs; fail if a rule or an invariant was broken meanwhile.

    What the clusters that ran against it have in their logs is what came out of them.

    Args:
        settings: of the simulator.
        violated, excused, limits: see `support.verdict.verdict`.
    """
    with in_thread(settings) as sim:
        try:
            yield sim
        finally:
            clusters = Cluster.at.pop(sim.api, [])
    for cluster in clusters:
        limits.setdefault("published", []).extend(cluster.logged())
    wrong = verdict(
        sim.ledger,
        sim.settings,
        texts=[text for cluster in clusters for text in cluster.left_behind()],
        violated=violated,
        excused=excused,
        needed=False,  # what real processes do in real time is not quite the same each time
        stopped=True,
        **limits,
    )
    assert not wrong, "\n".join(wrong)
