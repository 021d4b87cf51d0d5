"""Does: runs a simulator in a thread of its own, for tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gwsimulator.controls import Controls, Order
from gwsimulator.ledger import Sink
from gwsimulator.server import Simulator
from gwsimulator.settings import Settings


class ThreadedSimulator(Controls):
    """Controls of a simulator whose event loop runs elsewhere. Every method may be called from any thread."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        """Take a simulator that listens in `loop`."""
        self.settings = simulator.settings
        self.ledger = simulator.ledger
        self.world = simulator.world
        self.api = simulator.api
        self.gateway_url = simulator.gateway_url
        self._simulator = simulator
        self._loop = loop

    @property
    def resume_url(self) -> str:
        """Return what the next READY names."""
        return self._simulator.resume_url

    def order(self, order: Order) -> None:
        async def carry_out() -> None:
            self._simulator.order(order)

        asyncio.run_coroutine_threadsafe(carry_out(), self._loop).result(timeout=30)


@contextmanager
def in_thread(settings: Settings | None = None, *, sink: Sink | None = None) -> Iterator[ThreadedSimulator]:
    """Run a simulator in a thread as long as the block runs.

    Raises:
        OSError: the port asked for is taken.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="gwsimulator", daemon=True)
    thread.start()
    simulator = Simulator(settings, sink=sink)
    try:
        asyncio.run_coroutine_threadsafe(simulator.__aenter__(), loop).result(timeout=30)
        try:
            yield ThreadedSimulator(simulator, loop)
        finally:
            asyncio.run_coroutine_threadsafe(simulator.__aexit__(), loop).result(timeout=30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
        loop.close()
