"""A bare gateway client on `websockets`: knows opcodes as literals and nothing else."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
import zlib
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

AGENT = "DiscordBot (https://example.com, 1.0)"


class RawClient:
    """One websocket; payloads come decompressed, in order."""

    def __init__(self, url: str, compress: str | None = None, query: str = "v=10&encoding=json") -> None:
        self._url = f"{url}/?{query}" + (f"&compress={compress}" if compress else "")
        self._compress = compress
        self._inflate = zlib.decompressobj() if compress == "zlib-stream" else zstd.ZstdDecompressor()
        self._buffer = b""
        self.ws: ClientConnection

    async def __aenter__(self) -> Self:
        self.ws = await connect(
            self._url, compression=None, ping_interval=None, max_size=None, proxy=None, close_timeout=1
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.ws.close(4000)

    async def payload(self) -> bytes:
        """Return the next payload's bytes."""
        while True:
            data = await asyncio.wait_for(self.ws.recv(decode=False), 5)
            if self._compress is None:
                return data
            self._buffer += data
            if self._compress == "zlib-stream" and not self._buffer.endswith(b"\x00\x00\xff\xff"):
                continue
            whole, self._buffer = self._buffer, b""
            return self._inflate.decompress(whole)

    async def receive(self) -> dict[str, Any]:
        """Return the next message."""
        message: dict[str, Any] = json.loads(await self.payload())
        return message

    async def send(self, op: int, d: Any = None) -> None:
        await self.ws.send(json.dumps({"op": op, "d": d}))

    async def identify(self, shard: int = 0, shards: int = 2, intents: int = 513) -> dict[str, Any]:
        """Pass HELLO, identify, return READY."""
        assert (await self.receive())["op"] == 10
        d = {"token": "abc", "intents": intents, "shard": [shard, shards], "properties": {}}
        await self.send(2, d)
        return await self.receive()

    async def until(self, name: str) -> dict[str, Any]:
        """Return the next dispatch of that name, skipping others."""
        while (message := await self.receive())["t"] != name:
            pass
        return message

    async def close_code(self) -> int | None:
        """Read until the server ends the connection; return its close code, None for a reset."""
        try:
            while True:
                await asyncio.wait_for(self.ws.recv(), 5)
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code


def get(url: str, **headers: str) -> tuple[int, Any]:
    """GET with the headers of a bot; return status and parsed body."""
    all_headers = {"Authorization": "Bot abc", "User-Agent": AGENT, **headers}
    request = urllib.request.Request(url, headers=all_headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
        return error.code, json.loads(body) if body[:1] == b"{" else body
