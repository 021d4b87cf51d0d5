"""Websocket frames as a gateway nearly always sends them (pure): whole messages in one short frame each.

Those are cut out here, which costs an eighth of what `websockets`' core needs for a frame. Everything else
goes to that core, and its verdict counts: fragments, close, ping, what is longer than a read, what breaks the
protocol.

Sources:
    https://www.rfc-editor.org/rfc/rfc6455#section-5.2
"""

from __future__ import annotations

from struct import Struct
from typing import Final

_TEXT: Final = 0x81
_BINARY: Final = 0x82
"""The first byte of a frame that is a whole message, unmasked and without extensions."""

_MASKED: Final = 0x80
_SHORT: Final = Struct(">H").unpack_from
_LONG: Final = Struct(">Q").unpack_from


def cut(data: bytes, at: int, messages: list[tuple[bool, bytes]]) -> int:
    """Append the whole messages that begin at `at`; return where something else begins.

    Args:
        data: frames, of which one begins at `at`.
        messages: each with True for TEXT.
    """
    end = len(data)
    while at + 2 <= end:
        kind, size, start = data[at], data[at + 1], at + 2
        if kind != _BINARY and kind != _TEXT:
            break
        if size == 126:
            start = at + 4
            if start > end:
                break
            (size,) = _SHORT(data, at + 2)
        elif size > 126:  # a long one, or masked
            break
        stop = start + size
        if stop > end:
            break
        messages.append((kind == _TEXT, data[start:stop]))
        at = stop
    return at


def length(data: bytes, at: int) -> int | None:
    """Return how many bytes the frame has that begins at `at`, None while that can't be seen.

    Of a masked one, which no server may send, the two are enough at which the core refuses it.
    """
    there = len(data) - at
    if there < 2:
        return None
    size = data[at + 1]
    if size & _MASKED:
        return 2
    if size == 126:
        return 4 + int(_SHORT(data, at + 2)[0]) if there >= 4 else None
    if size == 127:
        return 10 + int(_LONG(data, at + 2)[0]) if there >= 10 else None
    return 2 + size
