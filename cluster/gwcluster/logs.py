"""The coordinator's log (does): text for people, JSON for machines, never the token."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

_TRACEBACKS = logging.Formatter()


class _Redact(logging.Filter):
    """Takes what is secret out of every record, should one ever carry it."""

    def __init__(self, token: str, others: Sequence[str]) -> None:
        super().__init__()
        self._signs = {token: "[token]", **dict.fromkeys(others, "[secret]")}

    def _clean(self, text: str) -> str:
        for secret, sign in self._signs.items():
            text = text.replace(secret, sign)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            text = record.getMessage()
        except (ValueError, TypeError, LookupError):  # say it as it is: logging would print the arguments
            text = f"{record.msg!r} does not fit {record.args!r}"
            record.msg, record.args = text, None
        if (clean := self._clean(text)) != text:
            record.msg, record.args = clean, None
        if record.exc_info:
            record.exc_text = self._clean(_TRACEBACKS.formatException(record.exc_info))
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


def log_to(handler: logging.Handler | None, log_format: LogFormat, token: str, *others: str) -> None:
    """Send this process's log to `handler`, by default stderr, with `token` and other secrets taken out."""
    handler = handler or logging.StreamHandler(sys.stderr)
    if log_format == "json":
        handler.setFormatter(_Json())
    elif isinstance(handler, logging.StreamHandler):
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    handler.addFilter(_Redact(token, others))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
