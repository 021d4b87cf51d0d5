"""One websocket without a network (does): any bytes from the peer, in any pieces, and any use of the link.

The loop's `create_connection` gives a transport that only notes what is written to it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import ssl
from typing import Final

from fuzz.cases import Target
from fuzz.mutate import chunks, mutated
from fuzz.nowhere import Loop, Wire, the_loop
from gwworker.gateway_link import MAX_RETRY_AFTER_S, GatewayLink

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LEAST_ROOM: Final = 1
"""Bytes that a link takes at any time; it keeps the beginning of a frame's head."""

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
HEADERS: Final = (
    b"Retry-After: 5", b"retry-after: -1", b"Retry-After: nan", b"Retry-After: 1e999", b"Retry-After: soon",
    b"Content-Length: 5", b"Content-Length: x", b"Content-Length: -1", b"Transfer-Encoding: chunked",
    b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Protocol: chat", b"Upgrade: h2c",
    b"Upgrade: websocket", b"Connection: close", b": none", b"X: \xff", b"Sec-WebSocket-Accept: x",
)  # fmt: skip
STATUSES: Final = (
    b"101 Switching Protocols", b"200 OK", b"429 Too Many Requests", b"502 Bad Gateway", b"204 No", b"101",
    b"999 X", b"-1 Y", b"301 Moved",
)  # fmt: skip


class Heard:
    """A listener that checks the order of what it is told, and uses the link while it is told."""

    def __init__(self, dice: random.Random, restless: float) -> None:
        self.messages: list[tuple[bool, bytes]] = []
        self.told: list[str] = []
        self.mute = False  # we hung up: no more messages
        self.done = False  # we dropped it: no more news
        self._dice = dice
        self._restless = restless

    def opened(self, link: GatewayLink) -> None:
        """See `gateway_link.Listener`."""
        assert not self.told
        self._note("opened", link)

    def dial_failed(self, link: GatewayLink, reason: str, retry_after_s: float) -> None:
        """See `gateway_link.Listener`."""
        assert not self.told, f"failed after {self.told}"
        assert 0.0 <= retry_after_s <= MAX_RETRY_AFTER_S
        assert len(reason) < 500
        self._note("failed", link)

    def received(self, link: GatewayLink, messages: list[tuple[bool, bytes]]) -> None:
        """See `gateway_link.Listener`."""
        assert self.told == ["opened"], f"messages after {self.told}"
        assert messages
        assert not self.mute, "heard after hanging up"
        self.messages += messages
        self.use(link)

    def lost(self, link: GatewayLink, *_: object) -> None:
        """See `gateway_link.Listener`."""
        assert self.told in ([], ["opened"]), f"lost after {self.told}"
        self._note("lost", link)

    def use(self, link: GatewayLink) -> None:
        """Do something with the link, now and then."""
        if self._dice.random() >= self._restless:
            return
        match self._dice.randrange(3):
            case 0:
                link.send(b'{"op":1,"d":null}')
            case 1:
                self.mute = True
                link.hang_up(4900)
            case _:
                self.mute = self.done = True
                link.abort()

    def _note(self, news: str, link: GatewayLink) -> None:
        assert not self.done, f"{news} after abort"
        self.told.append(news)
        self.use(link)


def case(dice: random.Random) -> None:
    """Play one connection from dial to end."""
    loop = the_loop()
    loop.wire, loop.raised = None, []
    loop.refuse = dice.choice((OSError("refused"), UnicodeError("label"))) if dice.random() < 0.05 else None
    loop.run_until_complete(_connection(dice, loop))
    assert not loop.raised, f"raised in a callback: {loop.raised}"


async def _connection(dice: random.Random, loop: Loop) -> None:
    polite = dice.random() < 0.4
    heard = Heard(dice, 0.0 if polite else 0.1)
    link = GatewayLink("ws://127.0.0.1:1/?v=10", tls=NO_TLS, listener=heard, user_agent="fuzz")
    if dice.random() < 0.05:
        heard.use(link)
    for _ in range(40):  # turns of the loop that a dial may take
        if heard.told or link.closed.done() or (loop.wire is not None and loop.wire.written):
            break
        await asyncio.sleep(0)
    wire = loop.wire
    if wire is not None and not wire.closing:
        sent: list[tuple[bool, bytes]] = []
        data = _upgrade(wire) if polite or dice.random() < 0.7 else _answer(dice, wire)
        frames = b"".join(_message(dice, sent) for _ in range(dice.randrange(8)))
        data += frames if polite else mutated(dice, frames) if dice.random() < 0.7 else _strange(dice)
        await _feed(dice, link, wire, heard, chunks(dice, data, 20))
        if polite and not loop.raised:
            assert heard.messages == sent, "what was sent is not what was heard"
    if wire is not None and not wire.closing:
        if dice.random() < 0.5:
            link.eof_received()
        wire.end(dice.choice((None, ConnectionResetError("reset"))))
    async with asyncio.timeout(5.0):
        await link.closed
    await asyncio.sleep(0)
    assert heard.done or heard.told[-1:] in (["failed"], ["lost"]) or wire is None, f"only told {heard.told}"


async def _feed(
    dice: random.Random, link: GatewayLink, wire: Wire, heard: Heard, pieces: list[bytes]
) -> None:
    for piece in pieces:
        for at in range(0, len(piece), LEAST_ROOM):
            if wire.closing:
                return
            part = piece[at : at + LEAST_ROOM]
            link.get_buffer(-1)[: len(part)] = part
            link.buffer_updated(len(part))
        if wire.closing:
            return
        heard.use(link)
        if dice.random() < 0.2:
            await asyncio.sleep(0)


def _upgrade(wire: Wire) -> bytes:
    key = next(
        line.split(b":", 1)[1].strip()
        for line in bytes(wire.written).splitlines()
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324 - RFC 6455 has it so
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _answer(dice: random.Random, wire: Wire) -> bytes:
    match dice.randrange(3):
        case 0:
            return mutated(dice, _upgrade(wire))
        case 1:
            return b"\r\n".join([_upgrade(wire)[:-4], *_headers(dice), b"", b""])
        case _:
            return (
                b"HTTP/1.1 "
                + dice.choice(STATUSES)
                + b"\r\n"
                + b"\r\n".join(_headers(dice))
                + b"\r\n\r\nbody!"
            )


def _headers(dice: random.Random) -> list[bytes]:
    return [dice.choice(HEADERS) for _ in range(dice.randrange(5))]


def _message(dice: random.Random, sent: list[tuple[bool, bytes]]) -> bytes:
    """Return one message in one or more frames, perhaps with a ping within, and note it as sent."""
    text = dice.random() < 0.5
    data = b"x" * dice.choice((0, 1, 125, 126, 65_535, 65_536)) if dice.random() < 0.5 else b'{"op":11}'
    sent.append((text, data))
    pieces = chunks(dice, data, 4)
    out = b""
    for at, piece in enumerate(pieces):
        opcode = 0 if at else 1 if text else 2
        out += _frame(opcode, piece, fin=at == len(pieces) - 1)
        if dice.random() < 0.2:
            out += _frame(dice.choice((9, 10)), b"ping", fin=True)
    return out


def _strange(dice: random.Random) -> bytes:
    """Return frames that keep to no order: any opcode, reserved bits, lengths that don't come true."""
    out = b""
    for _ in range(dice.randint(1, 6)):
        data = dice.randbytes(dice.choice((0, 1, 2, 5, 126, 200)))
        if dice.random() < 0.2:
            data = dice.choice((1000, 1001, 4004, 4900, 1005, 1006, 65_535, 0)).to_bytes(2, "big") + data
        opcode = dice.choice((0, 1, 2, 8, 8, 9, 10, 3, 15))
        frame = _frame(opcode | dice.choice((0, 0, 0, 0x40, 0x10)), data, fin=dice.random() < 0.7)
        out += frame if dice.random() < 0.8 else frame[:1] + b"\x7f" + dice.randbytes(8)
    return out


def _frame(opcode: int, data: bytes, *, fin: bool) -> bytes:
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    if len(data) < 1 << 16:
        return head + b"\x7e" + len(data).to_bytes(2, "big") + data
    return head + b"\x7f" + len(data).to_bytes(8, "big") + data


TARGET: Final = Target("gateway_link", case)
