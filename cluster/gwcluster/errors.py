"""The errors that gwcluster raises (pure): one root, data in attributes, never a token in a message."""

from __future__ import annotations

from typing import Final

QUOTE_LIMIT: Final = 80
"""Longest piece, in characters, of a foreign value that an error message repeats."""


class GwclusterError(Exception):
    """Root of every error that is not a bug of ours."""


class WireError(GwclusterError):
    """A frame that another process sent breaks the wire's rules; the receiver drops it and goes on."""


class LogError(GwclusterError):
    """A shard's log can't be used as asked."""


def quoted(value: object) -> str:
    """Return `repr(value)`, cut to `QUOTE_LIMIT` characters, for use in an error message."""
    try:
        text = repr(value)
    except RecursionError:
        text = f"a {type(value).__name__} that is nested too deeply"
    return text if len(text) <= QUOTE_LIMIT else text[: QUOTE_LIMIT - 1] + "…"
