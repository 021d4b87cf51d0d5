"""Log lines on their way from workers to the coordinator's log (pure): one JSON object a line."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Final

MAX_LINE_BYTES: Final = 4096
"""PIPE_BUF on Linux: lines up to this length from several processes never mix in a pipe."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One record; `shard` is None for the nursery."""

    level: int
    shard: int | None
    text: str


def encode(line: LogLine) -> bytes:
    """Return the line with its newline, cut so that it fits into `MAX_LINE_BYTES`."""
    text = line.text
    while True:
        fields = {"level": line.level, "shard": line.shard, "text": text}
        encoded = json.dumps(fields).encode() + b"\n"
        if len(encoded) <= MAX_LINE_BYTES:
            return encoded
        text = text[: len(text) // 2] + " …"


def decode(line: bytes) -> LogLine:
    """Return the record in a line; anything else that a process wrote to stderr is an error of its own."""
    try:
        fields = json.loads(line)
        level, shard, text = fields["level"], fields["shard"], fields["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return LogLine(logging.ERROR, None, line.decode(errors="replace").rstrip())
    if not (_is_count(level) and (shard is None or _is_count(shard)) and isinstance(text, str)):
        return LogLine(logging.ERROR, None, line.decode(errors="replace").rstrip())
    return LogLine(level, shard, text)


def _is_count(value: object) -> bool:  # a level of -20 or True would make a record that nobody ever sees
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
