from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve

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
    heard = asyncio.run(outcome(trusting(authority), certificate, "localhost"))
    assert heard.news == [("opened",)]
    assert heard.messages == [(True, b"over TLS")]


def test_a_certificate_of_an_unknown_authority_is_a_failed_dial(authority: trustme.CA) -> None:
    certificate = trustme.CA().issue_cert("localhost")
    heard = asyncio.run(outcome(trusting(authority), certificate, "localhost"))
    assert [news[0] for news in heard.news] == ["dial failed"]
    assert "certificate verify failed" in str(heard.news[0][1])


def test_a_certificate_of_another_host_is_a_failed_dial(authority: trustme.CA) -> None:
    certificate = authority.issue_cert("gateway.discord.gg")
    heard = asyncio.run(outcome(trusting(authority), certificate, "localhost"))
    assert [news[0] for news in heard.news] == ["dial failed"]
    assert "certificate" in str(heard.news[0][1])
