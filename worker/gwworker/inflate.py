"""From websocket messages to payloads (pure): one inflater per connection, never reused."""

from __future__ import annotations

import sys
import zlib
from typing import Final, Protocol

from gwworker.scan import BadPayloadError

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

MAX_PAYLOAD_BYTES: Final = 256 << 20
"""Most that one message may inflate to. DEFLATE reaches 1,027:1, so a bound on input is none on output."""

_FLUSH: Final = b"\x00\x00\xff\xff"
"""Ends each payload of zlib-stream.
https://docs.discord.com/developers/events/gateway#zlib-stream"""


class Inflater(Protocol):
    """Turns messages into payloads, in order.

    Attributes:
        whole: the framing itself shows that the last payload is not cut.
    """

    whole: bool

    def feed(self, message: bytes) -> bytes | None:
        """Return the payload that `message` completes, or None while it is incomplete.

        Raises:
            BadPayloadError: the stream is broken or too large; reconnect with a new inflater.
        """


class Plain:
    """No compression: a message is a payload, if the peer keeps to that."""

    whole = False

    def feed(self, message: bytes) -> bytes | None:
        """See `Inflater`."""
        return message


class ZlibStream:
    """zlib-stream: one zlib stream over the whole connection, a flush after each payload.

    A payload may span messages, and the flush marker itself may be cut in two, so what counts is the
    end of everything received.
    """

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self.whole = False
        self._max = max_payload_bytes
        self._inflate = zlib.decompressobj()
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""

    def feed(self, message: bytes) -> bytes | None:
        """See `Inflater`."""
        try:
            part = self._inflate.decompress(message, self._max - self._size + 1)
        except zlib.error as error:
            raise BadPayloadError(f"broken zlib-stream: {error}") from error
        self._size += len(part)
        if self._size > self._max:
            raise BadPayloadError(f"a payload inflates to more than {self._max} bytes")
        if self._inflate.eof:
            raise BadPayloadError("zlib-stream ended; it should last as long as its connection")
        if not self._parts and message.endswith(_FLUSH):
            self.whole = message.count(_FLUSH) == 1
            self._size = 0
            self._tail = b""
            return part
        self._parts.append(part)
        self._tail = (self._tail + message[-4:])[-4:]
        if self._tail != _FLUSH:
            return None
        payload = b"".join(self._parts)
        self.whole = False
        self._parts.clear()
        self._size = 0
        self._tail = b""
        return payload


class ZstdStream:
    """zstd-stream: one frame over the whole connection; each message is exactly one payload."""

    whole = True

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self._max = max_payload_bytes
        self._inflate = ZstdDecompressor()

    def feed(self, message: bytes) -> bytes | None:
        """See `Inflater`."""
        try:
            payload = self._inflate.decompress(message, self._max + 1)
        except (ZstdError, EOFError) as error:
            raise BadPayloadError(f"broken zstd-stream: {error}") from error
        if len(payload) > self._max:
            raise BadPayloadError(f"a payload inflates to more than {self._max} bytes")
        if self._inflate.eof:
            raise BadPayloadError("zstd-stream ended; it should last as long as its connection")
        return payload


def inflater(compression: str) -> Inflater:
    """Return a new inflater for `none`, `zlib-stream` or `zstd-stream`."""
    match compression:
        case "zlib-stream":
            return ZlibStream()
        case "zstd-stream":
            return ZstdStream()
        case "none":
            return Plain()
        case _:
            raise AssertionError(f"configuration let {compression!r} through")
