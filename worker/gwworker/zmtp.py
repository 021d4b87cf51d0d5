"""What a PUSH socket says on the wire (pure): ZMTP 3.0 with the NULL mechanism, for one peer that is a PULL.

ZeroMQ's own sockets need a second thread, and each message of each process wakes it. With hundreds of workers
that carry a few events a second, those wake-ups cost more than all else that is done with an event; and a
context costs each worker about a megabyte.

Sources:
    https://rfc.zeromq.org/spec/23/
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from gwcluster.errors import WireError, quoted

SIGNATURE: Final = b"\xff" + bytes(8) + b"\x7f"
GREETING: Final = SIGNATURE + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
"""Signature, version 3.0, mechanism, as-server, filler: 64 bytes."""

_READY: Final = b"\x05READY"
READY: Final = b"\x04\x1a" + _READY + b"\x0bSocket-Type\x00\x00\x00\x04PUSH"
"""A command of 26 bytes, after which messages may be sent."""

_MORE, _LONG, _COMMAND = 1, 2, 4
_LONG_SIZE: Final = Struct(">BQ").pack
_SHORT: Final = [bytes((0, size)) for size in range(256)]
_SHORT_MORE: Final = [bytes((_MORE, size)) for size in range(256)]


class Handshake:
    """The peer's half of it: its greeting, then READY. What it may send after that concerns no PUSH."""

    def __init__(self) -> None:
        self._data = bytearray()

    def heard(self, data: bytes) -> bool:
        """Take what the peer sent; say whether messages may be sent now.

        Raises:
            WireError: it is no PULL socket; hang up.
        """
        self._data += data
        greeting = bytes(self._data[: len(GREETING)])
        begins = greeting[:1] == b"\xff" and greeting[9:10] in {b"", b"\x7f"}
        if (greeting and not begins) or (len(greeting) > 10 and greeting[10] < 3):
            raise WireError(f"not a ZeroMQ peer of version 3: {quoted(greeting)}")
        if len(greeting) < len(GREETING):
            return False
        if greeting[12:32] != GREETING[12:32]:
            raise WireError(f"a ZeroMQ peer with mechanism {quoted(greeting[12:32])}, not NULL")
        return self._is_ready(bytes(self._data[len(GREETING) :]))

    def _is_ready(self, command: bytes) -> bool:
        if len(command) < 2:
            return False
        size = command[1]  # a long READY is none of ours
        if command[0] != _COMMAND or not command[2:8].startswith(_READY[: len(command) - 2]):
            raise WireError(f"a ZeroMQ peer that isn't ready: {quoted(command[:80])}")
        if len(command) < 2 + size:
            return False
        if b"\x0bSocket-Type\x00\x00\x00\x04PULL" not in command[: 2 + size]:
            raise WireError(f"a ZeroMQ peer that is no PULL: {quoted(command[:80])}")
        return True


def encode(events: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
    """Return events as they go over the wire, three frames each; topic and header have at most 255 bytes."""
    pieces: list[bytes] = []
    for topic, header, payload in events:
        size = len(payload)
        pieces += (
            _SHORT_MORE[len(topic)],
            topic,
            _SHORT_MORE[len(header)],
            header,
            _SHORT[size] if size < 256 else _LONG_SIZE(_LONG, size),
            payload,
        )
    return b"".join(pieces)
