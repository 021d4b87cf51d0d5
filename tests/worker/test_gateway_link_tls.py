from __future__ import annotations

import asyncio
import contextlib
import queue
import ssl
import threading
import time

import pytest
import trustme
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from gwworker.disk import Disk
from gwworker.gateway_link import GatewayLink
from support.link_rig import AGENT, Heard


async def outcome(client: ssl.SSLContext, certificate: trustme.LeafCert, host: str) -> Heard:
    """Dial a gateway that shows `certificate`; return what was heard."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)

    async def gateway(peer: ServerConnection) -> None:
        await peer.send("over TLS")
        await peer.wait_closed()

    async with serve(gateway, "127.0.0.1", 0, ssl=tls, close_timeout=1.0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        heard = Heard()
        link = GatewayLink(f"wss://{host}:{port}/", tls=client, listener=heard, user_agent=AGENT)
        await heard.until(lambda heard: heard.messages or heard.news[:1] not in ([], [("opened",)]))
        link.abort()
        await link.closed
        return heard


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_messages_come_over_tls_from_a_host_whose_certificate_is_good(authority: trustme.CA) -> None:
    certificate = authority.issue_cert("localhost")
    heard = uvloop.run(outcome(trusting(authority), certificate, "localhost"))
    assert heard.news == [("opened",)]
    assert heard.messages == [(True, b"over TLS")]


def test_what_is_read_ahead_of_its_decryption_is_bounded(authority: trustme.CA) -> None:
    async def held_at_most() -> int:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(tls)
        async with serve(
            lambda peer: peer.wait_closed(), "127.0.0.1", 0, ssl=tls, close_timeout=1.0
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            heard = Heard()
            link = GatewayLink(
                f"wss://localhost:{port}/", tls=trusting(authority), listener=heard, user_agent=AGENT
            )
            await heard.until(lambda heard: heard.news)
            limits: tuple[int, int] = link._transport.get_read_buffer_limits()  # type: ignore[union-attr]
            link.abort()
            await link.closed
            return limits[1]

    assert uvloop.run(held_at_most()) == 64 << 10


def test_a_certificate_of_an_unknown_authority_is_a_failed_dial(authority: trustme.CA) -> None:
    certificate = trustme.CA().issue_cert("localhost")
    heard = uvloop.run(outcome(trusting(authority), certificate, "localhost"))
    assert [news[0] for news in heard.news] == ["dial failed"]
    assert "certificate verify failed" in str(heard.news[0][1])


def test_a_certificate_of_another_host_is_a_failed_dial(authority: trustme.CA) -> None:
    certificate = authority.issue_cert("gateway.discord.gg")
    heard = uvloop.run(outcome(trusting(authority), certificate, "localhost"))
    assert [news[0] for news in heard.news] == ["dial failed"]
    assert "certificate" in str(heard.news[0][1])


class Gateway(threading.Thread):
    """A gateway over TLS on a loop of its own, which says hello and notes what it gets."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        super().__init__()
        self.got: queue.Queue[str | bytes] = queue.Queue()
        self.port: queue.Queue[int] = queue.Queue()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._tls)

    def run(self) -> None:
        uvloop.run(self._serve())

    async def _serve(self) -> None:
        over = asyncio.Event()

        async def gateway(peer: ServerConnection) -> None:
            await peer.send("hello")
            with contextlib.suppress(ConnectionClosed):
                while True:
                    self.got.put(await peer.recv())
            over.set()

        async with serve(gateway, "127.0.0.1", 0, ssl=self._tls, close_timeout=1.0) as server:
            self.port.put(next(iter(server.sockets)).getsockname()[1])
            await over.wait()


def test_another_thread_can_send_while_the_loop_is_stuck_in_a_message(authority: trustme.CA) -> None:
    gateway = Gateway(authority.issue_cert("localhost"))
    gateway.start()
    port = gateway.port.get(timeout=20)
    clock = iter(range(10_000, 20_000))
    disk = Disk(lambda: next(clock))
    got: list[str | bytes] = []

    async def stay() -> None:
        heard = Heard()
        url = f"wss://localhost:{port}/"
        link = GatewayLink(url, tls=trusting(authority), listener=heard, user_agent=AGENT)

        def hang(link: GatewayLink) -> None:
            with disk:
                got.append(gateway.got.get(timeout=20))  # as a disk that answers only when the beat is there
            link.send(b"afterwards")

        heard.answer = hang

        def stand_in(now: float) -> None:
            link.send(b"beat")

        def look() -> None:
            while not got:
                disk.look()
                time.sleep(0.01)

        disk.stand_in = stand_in
        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        await heard.until(lambda heard: heard.messages)
        got.append(await asyncio.to_thread(gateway.got.get, timeout=20))
        while got[-1] == "beat":
            got.append(await asyncio.to_thread(gateway.got.get, timeout=20))
        link.hang_up(4900)
        await link.closed
        assert heard.news == [("opened",), ("lost", None)]
        looking.join()

    uvloop.run(stay())
    gateway.join()
    assert (got[0], got[-1]) == ("beat", "afterwards")
    assert set(got) == {"beat", "afterwards"}
