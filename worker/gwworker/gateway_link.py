"""One websocket to the gateway (does): `websockets`' sans-I/O core inside an asyncio protocol.

The core does handshake and closing, and all frames but the plain ones (see `frames`). A read hands over all
messages it completed at once, and nothing queues in between. There are no
keepalive pings (Discord has heartbeats of its own), no permessage-deflate (payloads are compressed
already), no proxies, no redirects, and no close code that nobody named.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final, Protocol
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from gwcluster.errors import quoted
from gwworker import frames
from gwworker.dial import dial

MAX_MESSAGE_BYTES: Final = 64 << 20
"""Longest websocket message; the largest seen from Discord had 6 MB."""

MAX_RETRY_AFTER_S: Final = 86_400.0

READ_BYTES: Final = 64 << 10
"""Most that one read takes, into a buffer that lasts: a new one for each read costs more than the read."""

_END_OF_HEAD: Final = b"\r\n\r\n"

# Looked up once: an attribute of an enum costs more than all else that is done with a frame.
_BINARY: Final = Opcode.BINARY
_TEXT: Final = Opcode.TEXT
_CONT: Final = Opcode.CONT


class Listener(Protocol):
    """Whoever wants to know what happens on a link; each call names the link, so late ones can be told."""

    def opened(self, link: GatewayLink) -> None:
        """The handshake succeeded."""

    def dial_failed(self, link: GatewayLink, reason: str, retry_after_s: float) -> None:
        """There will be no connection."""

    def received(self, link: GatewayLink, messages: list[tuple[bool, bytes]]) -> None:
        """Messages came, each with True for TEXT."""

    def lost(self, link: GatewayLink, code: int | None, fault: str | None) -> None:
        """The connection ended; `code` is the peer's close code, None without one.

        `fault` says what of the peer's broke the protocol, or our bounds, so that we had to end it.
        """


class GatewayLink(asyncio.BufferedProtocol):
    """One connection from dial to close.

    Args:
        url: complete address, see `gwcluster.discord.gateway_url`.
        tls: context for `wss` addresses.
        listener: told what happens, on the loop's thread.
        user_agent: sent in the handshake.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext, listener: Listener, user_agent: str) -> None:
        self._url = url
        self._tls = tls
        self._listener = listener
        self._core = ClientProtocol(parse_uri(url), extensions=None, max_size=MAX_MESSAGE_BYTES)
        self._user_agent = user_agent
        self._tcp: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        self._view = memoryview(bytearray(READ_BYTES))
        self._held = 0  # bytes in it that don't tell yet how long their frame is
        self._owed = 0  # bytes of a frame that are the core's
        self._seam = b""
        self._fragments: list[bytes] = []
        self._text = False
        self._open = False
        self._leaving = False
        self._over = False
        self._dialing = asyncio.get_running_loop().create_task(self._dial())
        self.closed = asyncio.get_running_loop().create_future()

    async def _dial(self) -> None:
        parts = urlsplit(self._url)
        assert parts.hostname is not None, "gateway_url gives complete addresses"
        secure = parts.scheme == "wss"
        try:
            tcp = await self._connect(parts.hostname, parts.port or (443 if secure else 80))
            if secure:
                loop = asyncio.get_running_loop()
                over_tls = await loop.start_tls(tcp, self, self._tls, server_hostname=parts.hostname)
                assert over_tls is not None, "it is only None when the transport was closed by us"
                # Or up to 512 KiB wait there, and what they waited in is kept for good.
                over_tls.set_read_buffer_limits(READ_BYTES)  # type: ignore[attr-defined]  # all over TLS have it
                self._begin(over_tls)
            else:
                tcp.set_protocol(self)
                self._begin(tcp)
        except (OSError, UnicodeError) as error:  # UnicodeError: a label that no host name can have
            self._end_unopened(f"{parts.hostname}: {str(error) or type(error).__name__}", 0.0)

    async def _connect(self, host: str, port: int) -> asyncio.Transport:
        """Open a TCP connection; nobody listens to it yet, and servers don't speak first.

        Raises:
            OSError: there is no such host, or none of its addresses lets us in.
        """
        transport = await dial(host, port)
        if transport.is_closing():  # nobody was there yet to be told
            raise ConnectionResetError("the connection was closed as soon as it was there")
        # What we send must leave at once, though this loop be stuck: the next thing may be a disk that hangs.
        transport.set_write_buffer_limits(high=0)
        self._tcp = transport
        return transport

    @property
    def unsent(self) -> int:
        """Bytes that were written and that the socket hasn't taken yet."""
        layers = {layer for layer in (self._transport, self._tcp) if layer is not None}  # one without TLS
        return sum(layer.get_write_buffer_size() for layer in layers)

    def send(self, text: bytes) -> bool:
        """Send one TEXT message; say whether it was, without effect once either side has closed."""
        if self._core.state is not State.OPEN or self._over:
            return False
        self._core.send_text(text)
        self._write()
        return self._transport is not None and not self._transport.is_closing()

    def pause(self) -> None:
        """Read no more until `resume`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def hang_up(self, code: int) -> None:
        """Send a close frame with `code` and listen to nothing more; `lost` follows when the peer closes."""
        if self._over or self._leaving:
            return
        self._leaving = True
        if self._core.state is State.OPEN:
            self._core.send_close(code)
            self._write()
        elif self._transport is not None:  # not open yet, or the peer closed first
            self._transport.close()

    def abort(self) -> None:
        """Drop the connection at once, without a word, and call the listener no more."""
        self._over = True
        self._dialing.cancel()
        self._drop()

    def _drop(self) -> None:
        if self._tcp is not None:
            self._tcp.abort()
        if self._transport is None and not self.closed.done():
            self.closed.set_result(None)

    def _begin(self, transport: asyncio.Transport) -> None:
        """Send the handshake."""
        self._transport = transport
        if self._over:
            transport.abort()
            return
        request = self._core.connect()
        request.headers["User-Agent"] = self._user_agent
        self._core.send_request(request)
        self._write()

    # asyncio calls these

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next read goes."""
        del sizehint
        return self._view[self._held :]

    def buffer_updated(self, nbytes: int) -> None:
        """Hand over the messages that a read completed."""
        data = bytes(self._view[: self._held + nbytes])
        self._held = 0
        messages: list[tuple[bool, bytes]] = []
        at = 0 if self._open else self._greet(data, messages)
        while at < len(data) and not self._is_finished:
            if not self._owed and not self._fragments:
                at = frames.cut(data, at, messages)
            if not self._owed:
                size = frames.length(data, at)
                if size is None:
                    break
                self._owed = size
            part = data[at : at + self._owed]
            at += len(part)
            self._owed -= len(part)
            self._consult(part, messages)
        else:
            at = len(data)
        self._held = len(data) - at
        self._view[: self._held] = data[at:]
        self._write()
        if messages and not self._over and not self._leaving:
            self._listener.received(self, messages)
        if self._is_finished and self._transport is not None and not self._over:
            self._transport.close()

    @property
    def _is_finished(self) -> bool:
        return self._core.close_rcvd is not None or self._core.parser_exc is not None

    def _greet(self, data: bytes, messages: list[tuple[bool, bytes]]) -> int:
        """Have the core read the answer to our handshake; return where frames begin in `data`."""
        seam = self._seam + data
        found = seam.find(_END_OF_HEAD)
        end = len(data) if found < 0 else found + len(_END_OF_HEAD) - len(self._seam)
        self._seam = seam[-len(_END_OF_HEAD) + 1 :]
        self._consult(data[:end], messages)
        if not self._open:
            self._consult(data[end:], messages)  # what a refusal says besides
            end = len(data)
        if self._core.handshake_exc is not None and not self._open:  # not even an answer; else it is over
            self._end_unopened(f"no HTTP answer: {quoted(str(self._core.handshake_exc))}", 0.0)
        return end

    def _consult(self, data: bytes, messages: list[tuple[bool, bytes]]) -> None:
        self._core.receive_data(data)
        for event in self._core.events_received():
            if isinstance(event, Frame):
                self._collect(event, messages)
            elif isinstance(event, Response):
                self._answered(event)

    def eof_received(self) -> None:
        """Let `connection_lost` follow."""
        self._core.receive_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that it is over, once; a code that the peer only echoed is not the peer's."""
        if not self.closed.done():
            self.closed.set_result(None)
        if self._over:
            return
        if not self._open and not self._leaving:
            self._end_unopened(f"connection closed during the handshake ({error or 'end of file'})", 0.0)
            return
        self._over = True
        received = self._core.close_rcvd
        told = received is not None and self._core.close_rcvd_then_sent and not self._leaving
        broken = self._core.parser_exc
        fault = None if broken is None or isinstance(broken, EOFError) else _fault(broken)
        self._listener.lost(self, received.code if received is not None and told else None, fault)

    def _collect(self, frame: Frame, messages: list[tuple[bool, bytes]]) -> None:
        opcode = frame.opcode
        if opcode is _BINARY or opcode is _TEXT:
            text = opcode is _TEXT
            if frame.fin:
                messages.append((text, bytes(frame.data)))
            else:
                self._text = text
                self._fragments.append(bytes(frame.data))
        elif opcode is _CONT:
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                messages.append((self._text, b"".join(self._fragments)))
                self._fragments.clear()

    def _answered(self, response: Response) -> None:
        if self._core.handshake_exc is None:
            self._open = True
            self._listener.opened(self)
            return
        retry_after_s = 0.0
        for asked in response.headers.get_all("Retry-After"):
            with contextlib.suppress(ValueError):  # an HTTP date: our own backoff serves as well
                retry_after_s = max(retry_after_s, float(asked))
        reason = f"HTTP {response.status_code} {quoted(response.reason_phrase)} instead of a websocket"
        if response.status_code == 101:
            reason = f"bad websocket handshake: {quoted(str(self._core.handshake_exc))}"
        self._end_unopened(reason, min(retry_after_s, MAX_RETRY_AFTER_S))

    def _end_unopened(self, reason: str, retry_after_s: float) -> None:
        if self._over:
            return
        self._over = True
        self._drop()
        self._listener.dial_failed(self, reason, retry_after_s)

    def _write(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        for data in self._core.data_to_send():
            if data:
                self._transport.write(data)


def _fault(error: Exception) -> str:
    if isinstance(error, PayloadTooBig):
        return f"a message of more than {MAX_MESSAGE_BYTES >> 20} MiB"
    return f"not the websocket protocol: {quoted(str(error) or type(error).__name__)}"
