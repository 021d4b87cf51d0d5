"""What JetStream answers (pure)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from gwcluster.errors import LogError, quoted

NO_MESSAGE: Final = 10037
NO_STREAM: Final = 10059
NAME_IN_USE: Final = 10058
NOT_CLUSTERED: Final = 10074
"""https://github.com/nats-io/nats-server/blob/main/server/errors.json"""

NO_LEADER: Final = 10008
"""JetStream's number for it; it passes."""

_WORDS: Final = {
    10005: "too few JetStream servers are up for three replicas: start them, then try again",
    NO_LEADER: "JetStream has no leader just now",
    10023: "a JetStream server is short of resources: give it more memory or disk",
    10028: "JetStream's limit of the account is reached: raise it",
    10039: "JetStream is not enabled for the account: enable it",
    10047: "JetStream's disk or memory limit is reached: raise max_file_store or free some",
    10076: "JetStream isn't enabled: set `jetstream` in the servers' configuration",
    10077: "the stream is full and refuses messages",
}


_NO_ROOM: Final = "insufficient storage"
"""With this in its words, 10005 of a cluster is what 10047 is of one server."""


def _words(code: int, said: str) -> str:
    return _WORDS[10047] if code == 10005 and _NO_ROOM in said else _WORDS.get(code, said)


class ApiError(LogError):
    """JetStream refuses a request.

    Attributes:
        code: JetStream's number of the error, 0 if it told none.
    """

    def __init__(self, code: int, said: str, subject: str) -> None:
        super().__init__(f"JetStream refuses {subject}: {_words(code, said)} ({code})")
        self.code = code


class NoAnswer(LogError):  # noqa: N818 - a state of affairs, not a mistake
    """Nobody answered in time; whether anything was done is unknown."""


def status(headers: Mapping[str, str] | None) -> int | None:
    """Return the status of a message that is only that, such as 204, 404 or 503; None: it is none."""
    text = (headers or {}).get("Status", "")
    return int(text) if text.isdecimal() else None


def outcome(headers: Mapping[str, str] | None, data: bytes) -> int | str:
    """Return the sequence at which a message was put, or why it wasn't."""
    if (found := status(headers)) is not None:
        return (
            "no stream takes the message, or it has no leader just now" if found == 503 else f"status {found}"
        )
    told = _map(data)
    error, sequence = told.get("error"), told.get("seq")
    if isinstance(error, dict):
        code = error.get("err_code")
        return (
            _WORDS.get(code, f"{error.get('description')} ({code})") if isinstance(code, int) else "refused"
        )
    if isinstance(sequence, int) and sequence > 0:
        return sequence
    return f"an answer that isn't JetStream's: {quoted(data)}"


def answer(headers: Mapping[str, str] | None, data: bytes, subject: str) -> dict[str, Any]:
    """Return what a request of the API was answered.

    Raises:
        ApiError: it is an error.
        NoAnswer: nobody is there to answer; try again.
    """
    if (found := status(headers)) is not None:
        if found == 503:
            raise NoAnswer(f"JetStream doesn't answer {subject}: it isn't enabled, or has no leader just now")
        raise ApiError(0, f"status {found} {(headers or {}).get('Description', '')}".strip(), subject)
    told = _map(data)
    error = told.get("error")
    if isinstance(error, dict):
        code = error.get("err_code")
        if code == NO_LEADER:
            raise NoAnswer(f"{_WORDS[NO_LEADER]}, so nothing was done with {subject}")
        said = str(error.get("description"))
        raise ApiError(code if isinstance(code, int) else 0, said, subject)
    return told


def _map(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
