"""The errors that gwcluster raises (pure): one root, data in attributes, never a token in a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

QUOTE_LIMIT: Final = 80
"""Longest piece, in characters, of a foreign value that an error message repeats."""


class GwclusterError(Exception):
    """Root of every error that is not a bug of ours."""


class WireError(GwclusterError):
    """A frame that another process sent breaks the wire's rules; the receiver drops it and goes on."""


class WireVersionError(WireError):
    """A newer gwcluster sent it, and its keys may mean something else; upgrade this side."""


class LogError(GwclusterError):
    """A shard's log can't be used as asked."""


def quoted(value: object) -> str:
    """Return `repr(value)`, cut to `QUOTE_LIMIT` characters, for use in an error message.

    Whatever its size and depth, no more of `value` is looked at than is shown.
    """
    text = ""
    for piece in _pieces(value):
        text += piece
        if len(text) > QUOTE_LIMIT:
            return text[: QUOTE_LIMIT - 1] + "…"
    return text


def _pieces(value: object) -> Iterator[str]:
    """Iterate over the beginning of a repr; each level of nesting begins with a piece of its own."""
    match value:
        case str() | bytes() | bytearray():
            yield repr(value[:QUOTE_LIMIT])  # with its quotes longer than what is shown, if that cuts it
        case int() if value.bit_length() > 4 * QUOTE_LIMIT:
            yield f"a whole number of {value.bit_length()} bits"  # Python refuses to print the longest
        case dict():
            yield "{"
            for at, (key, each) in enumerate(value.items()):
                yield ", " if at else ""
                yield from _pieces(key)
                yield ": "
                yield from _pieces(each)
            yield "}"
        case list() | tuple():
            opening, closing = "[]" if isinstance(value, list) else "()"
            yield opening
            for at, each in enumerate(value):
                yield ", " if at else ""
                yield from _pieces(each)
            yield closing if len(value) != 1 or opening == "[" else ",)"
        case _:
            yield repr(value)
