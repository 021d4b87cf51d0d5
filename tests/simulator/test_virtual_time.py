"""A clock that jumps."""

from __future__ import annotations

import asyncio
import time

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gwsimulator import virtual_time
from gwsimulator.server import Simulator
from gwsimulator.settings import Settings


def test_a_day_passes_at_once_and_the_clock_shows_it() -> None:
    async def main() -> float:
        await asyncio.sleep(86_400.0)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert virtual_time.run(main()) == 96_400.0
    assert time.monotonic() - began < 60.0


def test_timers_fire_in_their_order_and_at_their_moments() -> None:
    async def main() -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []
        loop = asyncio.get_running_loop()

        async def note(name: str, after_s: float) -> None:
            await asyncio.sleep(after_s)
            seen.append((name, loop.time()))

        await asyncio.gather(note("late", 3_600.0), note("early", 0.5), note("later", 7_200.0))
        return seen

    assert virtual_time.run(main()) == [("early", 10_000.5), ("late", 13_600.0), ("later", 17_200.0)]


def test_the_clock_stands_still_while_a_thread_works() -> None:
    async def main() -> float:
        await asyncio.to_thread(time.sleep, 0.02)
        return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == 10_000.0


def test_threads_that_end_late_are_waited_for_at_the_end() -> None:
    async def main() -> None:
        # Cancelled, so nobody waits for the thread before the loop is closed.
        sleeping = asyncio.create_task(asyncio.to_thread(time.sleep, 0.1))
        await asyncio.sleep(0.0)
        sleeping.cancel()

    virtual_time.run(main())


def test_bytes_on_the_loopback_arrive_before_the_clock_jumps() -> None:
    async def main() -> list[tuple[float, int | None]]:
        loop = asyncio.get_running_loop()
        ends: list[tuple[float, int | None]] = []
        async with Simulator(Settings(heartbeat_interval_ms=41_250), clock=loop.time) as sim:
            for _ in range(20):
                dialed_at = loop.time()
                async with connect(f"{sim.gateway_url}/?v=10&encoding=json", ping_interval=None) as ws:
                    await ws.recv()
                    assert loop.time() == dialed_at
                    with pytest.raises(ConnectionClosed):
                        await ws.recv()
                    ends.append((loop.time() - dialed_at, ws.close_code))
        return ends

    (waited_s, code), *others = virtual_time.run(main())
    assert all(abs(end[0] - waited_s) < 0.01 for end in others)
    assert waited_s == pytest.approx(51.8125)  # an interval, a quarter of it, and 0.25 s of grace
    assert code == 4000


def test_waiting_for_what_cannot_come_is_an_error_instead_of_a_hang() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(virtual_time.Deadlock, match="nothing is on its way"):
        virtual_time.run(main())
