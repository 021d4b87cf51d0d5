"""A worker's log (does): lines on stderr, a pipe that the coordinator reads, never waited for."""

from __future__ import annotations

import logging
import os

from gwcluster.wire.logline import LogLine, encode

_STDERR = 2


class PipeLog(logging.Handler):
    """Writes each record as one line; when the pipe is full, counts what it had to drop.

    Args:
        shard: named in each line, None for the nursery.
    """

    def __init__(self, shard: int | None) -> None:
        super().__init__()
        self._shard = shard
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = self.format(record)
        if self._dropped:
            text = f"({self._dropped} log lines before this one were dropped) {text}"
        try:
            os.write(_STDERR, encode(LogLine(record.levelno, self._shard, text)))
        except OSError:  # full, or nobody reads any more: the shard goes on
            self._dropped += 1
        else:
            self._dropped = 0


def log_to_pipe(shard: int | None) -> None:
    """Send this process's log to the coordinator.

    `websockets` would write frames, the token among them, at debug level; it is kept quiet.
    """
    root = logging.getLogger()
    root.handlers = [PipeLog(shard)]
    root.setLevel(logging.INFO)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
