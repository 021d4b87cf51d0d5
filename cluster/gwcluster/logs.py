"""The coordinator's log (does): text for people, JSON for machines, never the token."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

_TRACEBACKS = logging.Formatter()


class _Redact(logging.Filter):
    """Takes the token out of every record, should one ever carry it."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except (ValueError, TypeError, LookupError):  # say it as it is: logging would print the arguments
            text = f"{record.msg!r} does not fit {record.args!r}"
            record.msg, record.args = text, None
        if self._token in text:
            record.msg, record.args = text.replace(self._token, "[token]"), None
        if record.exc_info:
            record.exc_text = _TRACEBACKS.formatException(record.exc_info).replace(self._token, "[token]")
        return True


class _Json(logging.Formatter):
    """One JSON object a line: time (ISO 8601, UTC), level, logger, text, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def log_to(handler: logging.Handler | None, log_format: LogFormat, token: str) -> None:
    """Send this process's log to `handler`, by default stderr, with `token` taken out."""
    handler = handler or logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(_Json())
    elif isinstance(handler, logging.StreamHandler):
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    handler.addFilter(_Redact(token))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
