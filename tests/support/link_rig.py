"""One `GatewayLink` and whatever it is to dial, both on this loop and on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from gwworker.gateway_link import GatewayLink

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
AGENT = "DiscordBot (https://example.test, 1)"


@dataclass
class Heard:
    """A listener that notes what it is told, and answers if it is told to."""

    news: list[tuple[object, ...]] = field(default_factory=list)
    messages: list[tuple[bool, bytes]] = field(default_factory=list)
    answer: Callable[[GatewayLink], None] = lambda link: None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def opened(self, link: GatewayLink) -> None:
        self._note("opened")

    def dial_failed(self, link: GatewayLink, reason: str, retry_after_s: float) -> None:
        self._note("dial failed", reason, retry_after_s)

    def received(self, link: GatewayLink, messages: list[tuple[bool, bytes]]) -> None:
        self.messages += messages
        self._changed.set()
        self.answer(link)

    def lost(self, link: GatewayLink, code: int | None, fault: str | None) -> None:
        self._note("lost", code) if fault is None else self._note("lost", code, fault)

    async def until(self, condition: Callable[[Heard], object]) -> None:
        async with asyncio.timeout(5.0):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def until_news(self, count: int) -> None:
        await self.until(lambda heard: len(heard.news) >= count)

    def _note(self, *news: object) -> None:
        self.news.append(news)
        self._changed.set()


def dial(port: int, heard: Heard, host: str = "127.0.0.1") -> GatewayLink:
    return GatewayLink(f"ws://{host}:{port}/?v=10", tls=NO_TLS, listener=heard, user_agent=AGENT)


@contextlib.asynccontextmanager
async def linked(
    gateway: Callable[[ServerConnection], Awaitable[None]],
    refuse: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> AsyncIterator[tuple[GatewayLink, Heard]]:
    """Yield a link to a server of `websockets` that runs `gateway`, once it is open or was refused."""
    async with serve(gateway, "127.0.0.1", 0, process_request=refuse, close_timeout=1.0) as server:
        heard = Heard()
        link = dial(next(iter(server.sockets)).getsockname()[1], heard)
        try:
            await heard.until_news(1)
            yield link, heard
        finally:
            link.abort()
            await link.closed


@contextlib.asynccontextmanager
async def raw_linked(
    gateway: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[GatewayLink, Heard]]:
    """Yield a link to a bare TCP server, as soon as it dials."""
    running: list[asyncio.Task[None] | None] = []

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.append(asyncio.current_task())
        try:
            await gateway(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    async with server:
        heard = Heard()
        link = dial(server.sockets[0].getsockname()[1], heard)
        try:
            yield link, heard
        finally:
            link.abort()
            await link.closed
            await asyncio.gather(*(task for task in running if task), return_exceptions=True)


async def upgraded(reader: asyncio.StreamReader) -> bytes:
    """Read an upgrade request; return the answer that accepts it."""
    request = await reader.readuntil(b"\r\n\r\n")
    key = next(
        line.split(b":")[1].strip()
        for line in request.splitlines()
        if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def frame(opcode: int, data: bytes) -> bytes:
    """Return a short, final, unmasked frame."""
    assert len(data) < 126
    return bytes([0x80 | opcode, len(data)]) + data
