from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from gwsimulator import virtual_time
from gwworker import gateway_link
from gwworker.dial import dial as gateway_link_dial
from gwworker.gateway_link import GatewayLink
from support.link_rig import AGENT, NO_TLS, Heard, dial, frame, linked, raw_linked, upgraded

Gateway = Callable[[ServerConnection], Awaitable[None]]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test; whatever the loop would only have logged fails it."""
    bugs: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: bugs.append(context))
        await main

    uvloop.run(watched())
    assert bugs == []


async def listening(peer: ServerConnection) -> None:
    await peer.wait_closed()


def refusing(status: int, **headers: str) -> Callable[[ServerConnection, Request], Response]:
    named = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    return lambda peer, request: Response(
        status, "No", Headers([("Content-Length", "0"), *named.items()]), b""
    )


# What is cut out of a read, and what is left to the core


def feed(link: GatewayLink, *pieces: bytes) -> None:
    """Have a link read exactly these pieces."""
    for piece in pieces:
        link.get_buffer(-1)[: len(piece)] = piece
        link.buffer_updated(len(piece))


@pytest.mark.parametrize("late", [1, 2, 3])
def test_messages_are_heard_though_the_end_of_the_handshake_comes_in_two_pieces(late: int) -> None:
    async def main() -> None:
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answers.put_nowait(await upgraded(reader))
            await reader.read()

        async with raw_linked(gateway) as (link, heard):
            answer = await answers.get()
            sent = [b"\x82\x01b" * 40, *(b"message %d" % n for n in range(40))]
            first, *others = (frame(1, message) for message in sent)
            feed(link, answer[:-late], answer[-late:] + first[:5], first[5:], *others)
            assert heard.messages == [(True, message) for message in sent]

    run(main())


@pytest.mark.parametrize("step", [1, 2, 3, 1_000])
def test_long_short_and_broken_up_messages_are_heard_in_order_however_they_come(step: int) -> None:
    like_frames = b"\x82\x01b"
    sent = [b"a", bytes(200), like_frames * 30_000, b"", b"in three pieces", like_frames * 50]
    pieces = [
        *(Frame(Opcode.BINARY, data).serialize(mask=False) for data in sent[:4]),
        Frame(Opcode.BINARY, b"in ", fin=False).serialize(mask=False),
        Frame(Opcode.PING, b"?").serialize(mask=False),
        Frame(Opcode.CONT, b"three", fin=False).serialize(mask=False),
        Frame(Opcode.CONT, b" pieces").serialize(mask=False),
        Frame(Opcode.BINARY, sent[5]).serialize(mask=False),
    ]
    data = b"".join(pieces)

    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader))
            await writer.drain()
            await reader.read()

        async with raw_linked(gateway) as (link, heard):
            await heard.until_news(1)
            feed(link, *(data[at : at + step] for at in range(0, len(data), step)))
            assert heard.messages == [(False, message) for message in sent]

    run(main())


def test_nothing_is_heard_that_comes_behind_a_close_frame() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader))
            writer.write(frame(1, b"before") + frame(8, b"\x0f\xa9") + frame(1, b"behind"))
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(2)
            assert heard.news[1] == ("lost", 4009)
            assert heard.messages == [(True, b"before")]

    run(main())


def test_a_message_amid_the_pieces_of_another_breaks_the_protocol() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader))
            writer.write(Frame(Opcode.TEXT, b"one", fin=False).serialize(mask=False) + frame(1, b"two"))
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(2)
            assert heard.news[1][:2] == ("lost", None)
            assert "not the websocket protocol" in str(heard.news[1][2])
            assert heard.messages == []

    run(main())


# The dial


def test_a_connection_that_is_closed_as_soon_as_it_is_there_is_a_failed_dial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async def slow(host: str, port: int) -> asyncio.Transport:
            transport = await gateway_link_dial(host, port)
            while not transport.is_closing():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
            return transport

        monkeypatch.setattr(gateway_link, "dial", slow)
        async with raw_linked(gateway) as (link, heard):
            await heard.until_news(1)
            (told,) = heard.news
            assert told[0] == "dial failed"
            assert "closed as soon as" in str(told[1])
            await link.closed

    run(main())


def test_a_link_that_is_dropped_in_mid_handshake_drops_its_connection() -> None:
    async def main() -> None:
        over = asyncio.Event()

        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)  # the first byte of TLS, which is never answered
            link.abort()
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(1 << 16):
                    pass
            writer.close()
            over.set()

        server = await asyncio.start_server(gateway, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            heard = Heard()
            url = f"wss://localhost:{port}/"
            link = GatewayLink(url, tls=NO_TLS, listener=heard, user_agent=AGENT)
            async with asyncio.timeout(5.0):
                await link.closed
                await over.wait()
            assert heard.news == []

    run(main())


# The handshake


def test_the_upgrade_names_us_and_offers_no_extension() -> None:
    async def main() -> None:
        requests: list[Request] = []

        async def gateway(peer: ServerConnection) -> None:
            assert peer.request is not None
            requests.append(peer.request)
            await peer.wait_closed()

        async with linked(gateway) as (_, heard):
            assert heard.news == [("opened",)]
            assert requests[0].path == "/?v=10"
            assert requests[0].headers["User-Agent"] == AGENT
            assert "Sec-WebSocket-Extensions" not in requests[0].headers

    run(main())


@pytest.mark.parametrize(
    ("status", "headers", "retry_after_s"),
    [
        (401, {}, 0.0),
        (403, {"cf_mitigated": "challenge"}, 0.0),
        (429, {"Retry_After": "82.5"}, 82.5),
        (429, {"Retry_After": "100000000"}, 86_400.0),
        (429, {"Retry_After": "-5"}, 0.0),
        (429, {"Retry_After": "nan"}, 0.0),
        (503, {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.0),
        (302, {"Location": "ws://127.0.0.1:9/"}, 0.0),
    ],
)
def test_a_refused_upgrade_is_a_failed_dial_with_the_wait_that_was_asked_for(
    status: int, headers: dict[str, str], retry_after_s: float
) -> None:
    async def main() -> None:
        async with linked(listening, refusing(status, **headers)) as (_, heard):
            _, reason, wait_s = heard.news[0]
            assert str(status) in str(reason)
            assert wait_s == retry_after_s
            assert len(heard.news) == 1

    run(main())


def test_nothing_is_sent_unasked_however_long_it_is_quiet() -> None:
    # Libraries ping every 20 s and close with 1011 when their loop stalls; Discord has heartbeats for that.
    async def main() -> None:
        got = bytearray()

        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader))
            while data := await reader.read(100):
                got.extend(data)

        async with raw_linked(gateway) as (_, heard):
            await asyncio.sleep(7200.0)
            assert heard.news == [("opened",)]
            assert got == b""

    virtual_time.run(main())


def test_nobody_there_is_a_failed_dial() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        heard = Heard()
        link = dial(port, heard)
        await link.closed
        assert [news[0] for news in heard.news] == ["dial failed"]

    run(main())


@pytest.mark.parametrize("host", ["a" * 70 + ".localhost", "a..localhost"])
def test_a_host_name_that_cannot_be_is_a_failed_dial(host: str) -> None:
    async def main() -> None:
        heard = Heard()
        await dial(9, heard, host).closed
        assert [news[0] for news in heard.news] == ["dial failed"]

    run(main())


def test_a_connection_closed_in_the_handshake_is_a_failed_dial() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(1)
            assert heard.news[0][0] == "dial failed"

    run(main())


def test_an_answer_with_a_wrong_key_is_a_failed_dial() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await upgraded(reader)).replace(b"Accept: ", b"Accept: AAAA"))
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(1)
            assert heard.news[0][0] == "dial failed"

    run(main())


def test_of_several_waits_the_longest_is_believed() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            waits = b"".join(b"Retry-After: %s\r\n" % wait for wait in (b"5", b"nan", b"30", b"soon", b"-1"))
            writer.write(b"HTTP/1.1 429 Too Many Requests\r\n" + waits + b"Content-Length: 0\r\n\r\n")
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(1)
            assert heard.news[0][0] == "dial failed"
            assert heard.news[0][2] == 30.0

    run(main())


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 101 Maybe\r\n: \r\n\r\n"])
def test_an_answer_that_is_not_http_is_a_failed_dial_at_once(answer: bytes) -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await reader.read()  # and stays there

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(1)
            assert heard.news[0][0] == "dial failed"
            assert "no HTTP answer" in str(heard.news[0][1])

    run(main())


def test_a_server_that_accepts_and_says_nothing_can_be_left_without_another_word() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with raw_linked(gateway) as (link, heard):
            await asyncio.sleep(0.02)
            assert heard.news == []
            link.abort()
            await link.closed
        assert heard.news == []

    run(main())


def test_a_dial_that_is_given_up_at_once_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with raw_linked(lambda reader, writer: asyncio.sleep(0)) as (link, heard):
            link.abort()
            await link.closed
            await asyncio.sleep(0.01)
            assert heard.news == []

    run(main())


# Messages


def test_messages_say_whether_they_were_text() -> None:
    async def main() -> None:
        async def gateway(peer: ServerConnection) -> None:
            await peer.send('{"op":10}')
            await peer.send(b"\x78\x9c")
            await peer.wait_closed()

        async with linked(gateway) as (_, heard):
            await heard.until(lambda heard: len(heard.messages) == 2)
            assert heard.messages == [(True, b'{"op":10}'), (False, b"\x78\x9c")]

    run(main())


def test_fragments_become_one_message_also_around_a_ping() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answer = await upgraded(reader)
            first, second, last = b"\x01\x03abc", b"\x00\x03def", frame(0, b"ghi")
            again = b"\x02\x01x" + frame(0, b"y")
            writer.write(answer + first + frame(9, b"are you there") + second + last + again)
            pong = await reader.readexactly(2)
            assert pong[0] == 0x8A
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until(lambda heard: len(heard.messages) == 2)
            assert heard.messages == [(True, b"abcdefghi"), (False, b"xy")]

    run(main())


def test_a_message_of_6_mb_arrives() -> None:
    # A GUILD_CREATE of 5,662,293 bytes was met; many libraries stop at 1 or 4 MiB and close with 1009.
    async def main() -> None:
        async def gateway(peer: ServerConnection) -> None:
            await peer.send(b"x" * 6_000_000)
            await peer.wait_closed()

        async with linked(gateway) as (_, heard):
            await heard.until(lambda heard: heard.messages)
            assert heard.messages == [(False, b"x" * 6_000_000)]

    run(main())


def test_a_message_beyond_64_mib_ends_the_connection_before_it_is_read() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader) + b"\x82\x7f" + struct.pack(">Q", (64 << 20) + 1))
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(2)
            assert heard.news[1] == ("lost", None, "a message of more than 64 MiB"), (
                "our 1009 isn't the peer's"
            )

    run(main())


def test_what_is_sent_arrives_as_text() -> None:
    async def main() -> None:
        got: asyncio.Future[str | bytes] = asyncio.get_running_loop().create_future()

        async def gateway(peer: ServerConnection) -> None:
            got.set_result(await peer.recv())

        async with linked(gateway) as (link, _):
            assert link.send(b'{"op":1,"d":null}')
            assert link.unsent == 0
            assert await got == '{"op":1,"d":null}'

    run(main())


def test_what_a_peer_that_does_not_read_leaves_with_us_is_known() -> None:
    async def main() -> None:
        reads = asyncio.Event()

        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader))
            await reads.wait()
            while await reader.read(1 << 20):
                pass

        async with raw_linked(gateway) as (link, heard):
            await heard.until_news(1)
            while link.unsent == 0:
                assert link.send(b"x" * 100_000)
            assert 0 < link.unsent <= 100_014
            reads.set()
            async with asyncio.timeout(5.0):
                while link.unsent:  # noqa: ASYNC110 - nothing tells when it is
                    await asyncio.sleep(0.001)

    run(main())


# Ends


def code_seen_by_peer(leave: Callable[[GatewayLink], None]) -> tuple[int | None, list[tuple[object, ...]]]:
    seen: list[int | None] = []
    news: list[tuple[object, ...]] = []

    async def main() -> None:
        done = asyncio.Event()

        async def gateway(peer: ServerConnection) -> None:
            await peer.wait_closed()
            seen.append(peer.close_code)
            done.set()

        async with linked(gateway) as (link, heard):
            leave(link)
            await link.closed
            await done.wait()
            news.extend(heard.news)

    run(main())
    return seen[0], news


def test_the_peer_sees_the_code_that_we_name_and_we_are_not_told_it_back() -> None:
    assert code_seen_by_peer(lambda link: link.hang_up(4900)) == (4900, [("opened",), ("lost", None)])


def test_hanging_up_twice_is_hanging_up_once() -> None:
    def leave(link: GatewayLink) -> None:
        link.hang_up(4900)
        link.hang_up(1000)

    assert code_seen_by_peer(leave)[0] == 4900


def test_an_abort_says_nothing_at_all() -> None:
    # "If you simply close the TCP connection or use a different close code, the session will remain active"
    # https://docs.discord.com/developers/events/gateway#initiating-a-disconnect
    # 1006 is what the peer's library calls an end without a close frame; Discord keeps the session.
    assert code_seen_by_peer(lambda link: link.abort()) == (1006, [("opened",)])


def test_nothing_is_sent_after_our_close() -> None:
    def leave(link: GatewayLink) -> None:
        link.hang_up(4900)
        assert not link.send(b"{}")

    assert code_seen_by_peer(leave)[0] == 4900


@pytest.mark.parametrize("code", [1000, 1001, 4004, 4009, 4999])
def test_the_code_of_a_peer_that_closes_is_told(code: int) -> None:
    async def main() -> None:
        async def gateway(peer: ServerConnection) -> None:
            await peer.close(code)

        async with linked(gateway) as (link, heard):
            await link.closed
            assert heard.news == [("opened",), ("lost", code)]
            assert not link.send(b"{}")
            link.hang_up(4900)

    run(main())


def test_a_close_frame_without_a_code_is_1005() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader) + frame(8, b""))
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(2)
            assert heard.news[1] == ("lost", 1005)

    run(main())


@pytest.mark.parametrize("answer", ["send", "hang_up"])
def test_a_message_and_a_close_in_one_read_are_both_heard_and_an_answer_breaks_nothing(answer: str) -> None:
    def answers(link: GatewayLink) -> None:
        if answer == "send":
            assert not link.send(b"{}"), "and who sends is told that it was not sent"
        else:
            link.hang_up(4900)

    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader) + frame(1, b'{"op":7}') + frame(8, struct.pack(">H", 1001)))
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            heard.answer = answers
            await heard.until_news(2)
            assert heard.messages == [(True, b'{"op":7}')]
            assert heard.news[1] == ("lost", 1001 if answer == "send" else None)

    run(main())


@pytest.mark.parametrize("linger", [None, struct.pack("ii", 1, 0)], ids=["end of file", "reset"])
def test_an_end_without_a_close_frame_has_no_code(linger: bytes | None) -> None:
    # To be resumed: "It's disconnected but doesn't receive any close code."
    # https://docs.discord.com/developers/events/gateway#resuming
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader))
            await writer.drain()
            if linger is not None:
                end: socket.socket = writer.get_extra_info("socket")
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(2)
            assert heard.news == [("opened",), ("lost", None)]

    run(main())


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x83\x00", b"\x81\x81abcde", frame(0, b"x")])
def test_what_is_no_websocket_ends_the_connection_without_a_code_of_the_peers(garbage: bytes) -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader) + garbage)
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(2)
            assert heard.news[1][:2] == ("lost", None)
            assert "not the websocket protocol" in str(heard.news[1][2])

    run(main())


def test_nothing_is_heard_after_we_hung_up() -> None:
    async def main() -> None:
        async def gateway(peer: ServerConnection) -> None:
            await peer.recv()
            await peer.send("first")
            await peer.send("second")
            await peer.wait_closed()

        async with linked(gateway) as (link, heard):
            heard.answer = lambda link: link.hang_up(4900)
            link.send(b"now")
            await link.closed
            assert heard.messages[0] == (True, b"first")
            assert heard.news[-1] == ("lost", None)
            heard.messages.clear()
            feed(link, frame(1, b"late"))
            assert heard.messages == []

    run(main())


def test_a_peer_that_ignores_our_close_is_left_to_its_caller() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader))
            await reader.read()

        async with raw_linked(gateway) as (link, heard):
            await heard.until_news(1)
            link.hang_up(4900)
            await asyncio.sleep(0.02)
            assert not link.closed.done()
            link.abort()
            await link.closed
            assert heard.news == [("opened",)]

    run(main())


def test_64_mib_is_the_bound() -> None:
    assert gateway_link.MAX_MESSAGE_BYTES == 67_108_864


def test_what_a_bad_handshake_says_is_quoted_and_cut() -> None:
    async def main() -> None:
        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            answer = await upgraded(reader)
            writer.write(answer.replace(b"Upgrade: websocket", b"Upgrade: " + b"x" * 4000))
            await reader.read()

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(1)
            what, reason, _ = heard.news[0]
            assert what == "dial failed"
            assert len(str(reason)) < 150

    run(main())
