"""A worker's log (does): lines on stderr, a pipe that the coordinator reads, never waited for."""

from __future__ import annotations

import logging
import os
from typing import Final

from gwcluster.wire.logline import LogLine, encode

STDERR: Final = 2


class PipeLog(logging.Handler):
    """Writes each record as one line; when the pipe is full, counts what it had to drop.

    Args:
        shard: named in each line, None for the nursery.
        descriptor: of the pipe.
    """

    def __init__(self, shard: int | None, descriptor: int = STDERR) -> None:
        super().__init__()
        self._shard = shard
        self._descriptor = descriptor
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = self.format(record)
        if self._dropped:
            text = f"({self._dropped} log lines before this one were dropped) {text}"
        try:
            os.write(self._descriptor, encode(LogLine(record.levelno, self._shard, text)))
        except OSError:  # full, or nobody reads any more: the shard goes on
            self._dropped += 1
        else:
            self._dropped = 0


def log_to_pipe(shard: int | None, descriptor: int = STDERR) -> None:
    """Send this process's log to the coordinator, which reads at the other end of `descriptor`.

    `websockets` would write frames, the token among them, at debug level; it is kept quiet.
    """
    root = logging.getLogger()
    root.handlers = [PipeLog(shard, descriptor)]
    set_level(root, logging.INFO)
    set_level(logging.getLogger("websockets"), logging.CRITICAL)


def set_level(logger: logging.Logger, level: int) -> None:
    """Set a level that is another one: to set it has all loggers forget what they know, and so written to."""
    if logger.level != level:
        logger.setLevel(level)
