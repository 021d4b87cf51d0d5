from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from gwworker import dial as module
from gwworker.dial import dial


def run(main: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(main, 10.0))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def listening(host: str = "127.0.0.1", port: int = 0) -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), host, port)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_host_is_reached_by_its_address_and_by_its_name(host: str) -> None:
    async def main() -> None:
        server, port = await listening()
        transport = await dial(host, port)
        assert transport.get_extra_info("peername")[:2] == ("127.0.0.1", port)
        transport.abort()
        server.close()

    run(main())


def test_an_address_that_refuses_is_no_obstacle_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server, port = await listening("127.0.0.2")
        _resolved(monkeypatch, "127.0.0.1", "127.0.0.2")
        transport = await dial("two.test", port)
        assert transport.get_extra_info("peername")[0] == "127.0.0.2"
        transport.abort()
        server.close()

    run(main())


def test_an_address_that_is_silent_is_no_obstacle_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        server, port = await listening("127.0.0.2")
        _resolved(monkeypatch, "127.0.0.1", "127.0.0.2")
        with socket.socket() as full, socket.socket() as queued, socket.socket() as also:
            full.bind(("127.0.0.1", port))
            full.listen(0)  # whoever is not let in waits, as behind a firewall that drops
            queued.connect(("127.0.0.1", port))
            also.setblocking(False)
            also.connect_ex(("127.0.0.1", port))
            transport = await asyncio.wait_for(dial("two.test", port), 3.0)
            assert transport.get_extra_info("peername")[0] == "127.0.0.2"
            transport.abort()
        server.close()

    run(main())


def test_where_nobody_listens_the_error_is_the_systems() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await dial("127.0.0.1", free_port())

    run(main())


def test_a_host_that_is_nowhere_is_an_error() -> None:
    async def main() -> None:
        with pytest.raises(OSError):
            await dial("no-such-host.invalid", 443)

    run(main())


def test_a_label_that_no_host_can_have_is_an_error() -> None:
    async def main() -> None:
        with pytest.raises(UnicodeError):
            await dial("a" * 64 + ".test", 443)

    run(main())


def test_addresses_of_both_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        _resolved(monkeypatch, "::1", "::2", "::3", "127.0.0.1")
        assert await module._addresses("four.test", 1) == ["::1", "127.0.0.1", "::2", "::3"]

    run(main())


ALONE = """
import asyncio, pathlib, socket, uvloop
from gwworker.dial import dial

async def main():
    server = socket.create_server(("127.0.0.1", 0))
    (await dial("localhost", server.getsockname()[1])).abort()
    (await dial("127.0.0.1", server.getsockname()[1])).abort()
    await asyncio.sleep(0.1)
    print(len(list(pathlib.Path("/proc/self/task").iterdir())))

uvloop.run(main())
"""


def test_no_thread_is_left_of_a_lookup() -> None:
    alone = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=30, check=True
    )
    assert alone.stdout == "1\n", "the main thread; a worker is multiplied by the number of shards"


def _resolved(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Have names resolve to these, as a resolver of someone else's would."""
    numeric = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, *, type: int, flags: int = 0) -> list[Any]:  # noqa: A002
        if flags & socket.AI_NUMERICHOST:
            return list(numeric(host, port, type=type, flags=flags))
        return [entry for each in addresses for entry in numeric(each, port, type=type)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
