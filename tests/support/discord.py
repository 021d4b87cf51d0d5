"""A stand-in Discord for tests with real processes, which looks at the end whether everybody behaved."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from gwsimulator import Settings, ThreadedSimulator, in_thread
from support.verdict import verdict


@contextmanager
def discord(
    settings: Settings, *, violated: Collection[str] = (), excused: Collection[str] = (), **limits: Any
) -> Iterator[ThreadedSimulator]:
    """Run a simulator as long as the block runs; fail if a rule or an invariant was broken meanwhile.

    Args:
        settings: of the simulator.
        violated, excused, limits: see `support.verdict.verdict`.
    """
    with in_thread(settings) as sim:
        yield sim
    wrong = verdict(sim.ledger, sim.settings, violated=violated, excused=excused, **limits)
    assert not wrong, "\n".join(wrong)
