"""A simulator and bare clients in one loop on virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gwsimulator import Settings, Simulator, virtual_time
from support.sim_client import RawClient

Play = Callable[[Simulator], Awaitable[None]]


def play(scene: Play, **settings: Any) -> None:
    """Play a scene with two shards and four guilds, unless `settings` want others."""

    async def main() -> None:
        wanted = Settings(**{"shards": 2, "guilds": 4, "identify_window_s": 0.0, **settings})
        async with Simulator(wanted, clock=asyncio.get_running_loop().time) as sim:
            await scene(sim)

    virtual_time.run(main())


def now() -> float:
    return asyncio.get_running_loop().time()


@contextlib.asynccontextmanager
async def live(
    sim: Simulator, compress: str | None = None, *, shard: int = 0
) -> AsyncIterator[tuple[RawClient, str]]:
    """Give a client of a shard that has its READY and its two guilds: the next `s` is 4."""
    async with RawClient(sim.gateway_url, compress) as client:
        ready = await client.identify(shard)
        for _ in range(2):
            assert (await client.receive())["t"] == "GUILD_CREATE"
        yield client, ready["d"]["session_id"]


async def resumed(client: RawClient, session: str, seq: int) -> None:
    """Pass HELLO and send a RESUME."""
    assert (await client.receive())["op"] == 10
    await client.send(6, {"token": "abc", "session_id": session, "seq": seq})


async def ops(client: RawClient, count: int) -> list[Any]:
    """Return the ops of the next messages."""
    return [(await client.receive())["op"] for _ in range(count)]


async def raw(url: str, sent: bytes) -> bytes:
    """Send bytes over TCP; return all that comes until the end."""
    host, _, port = url.removeprefix("ws://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def payload(op: int, d: Any = None) -> dict[str, Any]:
    """Return what a payload without a name looks like."""
    made: dict[str, Any] = json.loads(json.dumps({"t": None, "s": None, "op": op, "d": d}))
    return made
