"""A line whose connections lead to servers on loopback, or nowhere."""

from __future__ import annotations

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection, serve

from gwworker.inflate import ZlibStream
from gwworker.line import Line
from support.jobs import job
from support.link_rig import AGENT, NO_TLS, Heard


def new_line(heard: Heard) -> Line:
    return Line(tls=NO_TLS, user_agent=AGENT, listener=heard)


def test_without_a_connection_nothing_is_sent_and_leaving_does_nothing() -> None:
    line = new_line(Heard())
    assert line.send(b"{}") is False
    assert line.unsent() == 0
    line.hang_up(4900)
    line.abort()
    assert line.link is None


def test_each_connection_has_a_stream_of_its_own() -> None:
    line = new_line(Heard())
    line.opened("zlib-stream")
    first = line.inflater
    line.opened("zlib-stream")
    assert isinstance(line.inflater, ZlibStream)
    assert line.inflater is not first


@pytest.mark.parametrize("resume_url", [None, "http://127.0.0.1/"])
def test_without_an_address_that_may_be_dialed_the_one_to_identify_at_is(resume_url: str | None) -> None:
    got: list[str] = []

    async def gateway(peer: ServerConnection) -> None:
        got.append(str(await peer.recv()))
        await peer.wait_closed()

    async def main() -> None:
        async with serve(gateway, "127.0.0.1", 0, close_timeout=1.0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            heard = Heard()
            line = new_line(heard)
            line.dial(job(gateway_url=f"ws://127.0.0.1:{port}/"), resume_url)
            await heard.until_news(1)
            assert heard.news == [("opened",)]
            assert line.send(b'{"op":1,"d":null}')
            line.hang_up(4900)
            await heard.until_news(2)
            assert line.send(b"{}") is False

    uvloop.run(main())
    assert got == ['{"op":1,"d":null}']


def test_a_dropped_connection_is_forgotten_and_tells_nothing() -> None:
    async def main() -> None:
        heard = Heard()
        line = new_line(heard)
        line.dial(job(gateway_url="ws://127.0.0.1:9/"), None)
        link = line.link
        assert link is not None
        line.abort()
        assert line.link is None
        await link.closed
        assert heard.news == []

    uvloop.run(main())
