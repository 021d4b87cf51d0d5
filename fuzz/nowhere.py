"""A loop whose connections lead nowhere (does): its transports only note what is written to them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any


class Wire(asyncio.Transport):
    """A transport to nowhere that behaves like asyncio's: no data after close, one `connection_lost`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = self.lost = False
        self._loop = loop
        self.set_protocol(protocol)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio."""
        assert isinstance(protocol, asyncio.Protocol | asyncio.BufferedProtocol)
        self._protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio; nothing waits here."""

    def is_closing(self) -> bool:
        """See asyncio."""
        return self.closing

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return 0

    def write(self, data: Any) -> None:
        """Note it."""
        assert not self.closing, "written to a closed transport"
        self.written += data

    def close(self) -> None:
        """See asyncio."""
        self.end(None)

    def abort(self) -> None:
        """See asyncio."""
        self.end(None)

    def end(self, error: Exception | None) -> None:
        """Close, and tell the protocol soon."""
        if not self.closing:
            self.closing = True
            self._loop.call_soon(self._lose, error)

    def _lose(self, error: Exception | None) -> None:
        assert not self.lost
        self.lost = True
        self._protocol.connection_lost(error)


class Loop(asyncio.SelectorEventLoop):
    """A loop that connects to nowhere, and keeps what its callbacks raised."""

    def __init__(self) -> None:
        super().__init__()
        self.wire: Wire | None = None
        self.refuse: Exception | None = None
        self.raised: list[object] = []
        self.set_exception_handler(lambda _, context: self.raised.append(context))

    async def create_connection(  # type: ignore[override]  # of its many forms one is used
        self, factory: Callable[[], Any], *_: Any, **__: Any
    ) -> Any:
        """Connect to nowhere, or fail as told."""
        await asyncio.sleep(0)
        if self.refuse is not None:
            raise self.refuse
        protocol = factory()
        self.wire = Wire(self, protocol)
        protocol.connection_made(self.wire)
        return self.wire, protocol


@functools.cache
def the_loop() -> Loop:
    """Return this process's loop: making one for each case would cost more than the case."""
    return Loop()
