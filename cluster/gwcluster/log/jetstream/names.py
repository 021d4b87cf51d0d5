"""What things are called in NATS (pure). docs/log.md tells it to people."""

from __future__ import annotations

import re
from typing import Final

from gwcluster.errors import LogError, quoted

MARK: Final = "_mark"
FENCE: Final = "_fence"
FILL: Final = "_fill"
"""Last tokens of subjects that aren't events' names."""

_NAME: Final = re.compile("[A-Za-z0-9_-]{1,64}")


def checked(name: str) -> str:
    """Return a cluster's name if NATS can carry it.

    Raises:
        LogError: it can't: streams and buckets have no dots in their names.
    """
    if _NAME.fullmatch(name) is None:
        said = "with several hosts, `name` may have letters, digits, hyphens and underscores only"
        raise LogError(f"{said}: {quoted(name)}")
    return name


def stream(name: str, shard: int) -> str:
    """Return the stream of a shard's log."""
    return f"gwcluster-{name}-log-{shard}"


def subjects(name: str, shard: int) -> str:
    """Return the subject of all that is in a shard's log."""
    return f"gwcluster.{name}.log.{shard}.>"


def subject(name: str, shard: int, token: str) -> str:
    """Return the subject of an event's name, or of one of the tokens above."""
    return f"gwcluster.{name}.log.{shard}.{token}"


def bucket(name: str, what: str) -> str:
    """Return the KV bucket of `leases`, `hosts`, `permits` or `state`."""
    return f"gwcluster-{name}-{what}"


def bucket_stream(name: str, what: str) -> str:
    """Return the stream that holds a bucket."""
    return f"KV_{bucket(name, what)}"


def session_subject(name: str, shard: int) -> str:
    """Return the subject of the saved session of a shard: the key `session.I` of the bucket `state`."""
    return f"$KV.{bucket(name, 'state')}.session.{shard}"
