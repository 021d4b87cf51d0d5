from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gwcluster.wire.control import Leased
from gwsimulator.virtual_time import run
from gwworker.lease import Lease


class Rig:
    """A lease on the loop's clock, on top of which the machine may have slept."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.begin = self.loop.time()
        self.slept_s = 0.0
        self.ended_at: list[float] = []
        self.lease = Lease(clock=self.now, ended=lambda: self.ended_at.append(self.now()))

    def now(self) -> float:
        """Seconds since the beginning."""
        return self.loop.time() - self.begin + self.slept_s


def play(scene: Callable[[Rig], Awaitable[None]]) -> None:
    async def whole() -> None:
        rig = Rig()
        try:
            await scene(rig)
        finally:
            rig.lease.close()

    run(whole())


def test_it_ends_at_the_moment_that_was_told_last() -> None:
    async def scene(rig: Rig) -> None:
        rig.lease.heard(Leased(12.0))
        await asyncio.sleep(5.0)
        rig.lease.heard(Leased(17.5))
        await asyncio.sleep(12.4)
        assert rig.ended_at == []
        await asyncio.sleep(0.2)
        assert 17.5 <= rig.ended_at[0] <= 17.6

    play(scene)


def test_an_earlier_moment_counts_too() -> None:
    async def scene(rig: Rig) -> None:
        rig.lease.heard(Leased(12.0))
        rig.lease.heard(Leased(3.0))
        await asyncio.sleep(3.1)
        assert len(rig.ended_at) == 1

    play(scene)


def test_a_lease_that_ended_while_the_machine_was_suspended_is_over_a_second_after_it_woke() -> None:
    async def scene(rig: Rig) -> None:
        rig.lease.heard(Leased(12.0))
        await asyncio.sleep(2.0)
        rig.slept_s = 60.0
        await asyncio.sleep(1.1)
        assert rig.ended_at

    play(scene)
