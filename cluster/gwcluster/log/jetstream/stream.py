"""The streams that logs are kept in (does): made, brought up to date, asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gwcluster.errors import LogError
from gwcluster.log.jetstream import names
from gwcluster.log.jetstream.answers import (
    NAME_IN_USE,
    NO_MESSAGE,
    NO_STREAM,
    NOT_CLUSTERED,
    ApiError,
    NoAnswer,
    status,
)
from gwcluster.log.jetstream.light import Msg
from gwcluster.log.jetstream.link import Link
from gwcluster.log.jetstream.message import Stored, parse

REPLICAS: Final = 3
LEAST_BYTES: Final = 1 << 20
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a stream begins and ends: sequences of its first and last message."""

    first: int
    last: int


async def keep_log(link: Link, name: str, shard: int, retention_bytes: int, replicas: int = REPLICAS) -> Ends:
    """Have the stream of a shard's log there, with these limits.

    Raises:
        LogError: JetStream doesn't, or doesn't answer.
    """
    wanted = {
        "name": names.stream(name, shard),
        "subjects": [names.subjects(name, shard)],
        "retention": "limits",
        "discard": "old",
        "storage": "file",
        "max_bytes": max(retention_bytes, LEAST_BYTES),
        "max_age": 0,
        "max_msgs": -1,
        "max_msg_size": -1,
        "allow_direct": True,
        "duplicate_window": 1_000_000_000,
    }
    return await _keep(link, wanted, replicas)


async def keep_state(link: Link, name: str, replicas: int = REPLICAS) -> None:
    """Have the KV bucket `state` there, in which sessions are; the hosts' coordinators make the same one.

    Raises:
        LogError: JetStream doesn't, or doesn't answer.
    """
    bucket = names.bucket(name, "state")
    wanted = {
        "name": names.bucket_stream(name, "state"),
        "subjects": [f"$KV.{bucket}.>"],
        "max_msgs_per_subject": 1,
        "max_age": 0,
        "max_bytes": -1,
        "max_msgs": -1,
        "max_msg_size": -1,
        "storage": "file",
        "discard": "new",
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "duplicate_window": 120_000_000_000,
    }
    await _keep(link, wanted, replicas)


async def _keep(link: Link, wanted: dict[str, Any], replicas: int) -> Ends:
    stream = wanted["name"]
    try:
        told = await link.look(f"STREAM.INFO.{stream}")
    except ApiError as error:
        if error.code != NO_STREAM:
            raise
        told = await _create(link, {**wanted, "num_replicas": replicas})
    held = told.get("config", {})
    changed = {key: value for key, value in wanted.items() if _differs(held.get(key), value)}
    if changed:
        if "storage" in changed:
            raise LogError(f"the stream {stream} isn't in files: remove it, or name the cluster otherwise")
        told = await link.api(f"STREAM.UPDATE.{stream}", {**held, **changed})
    return _ends(told)


async def _create(link: Link, wanted: dict[str, Any]) -> dict[str, Any]:
    what = f"STREAM.CREATE.{wanted['name']}"
    try:
        return await link.api(what, wanted)
    except ApiError as error:
        if error.code == NOT_CLUSTERED:
            return await link.api(what, {**wanted, "num_replicas": 1})
        if error.code == NAME_IN_USE:  # somebody else was faster
            return await link.look(f"STREAM.INFO.{wanted['name']}")
        raise


def _differs(held: Any, wanted: Any) -> bool:
    return (held or 0) != (wanted or 0)


async def ends(link: Link, stream: str) -> Ends:
    """Return where a stream begins and ends, as its leader says.

    Raises:
        ApiError: `NO_STREAM`: there is none.
        LogError: JetStream doesn't answer.
    """
    return _ends(await link.look(f"STREAM.INFO.{stream}"))


def _ends(told: Mapping[str, Any]) -> Ends:
    state = told.get("state", {})
    return Ends(int(state.get("first_seq", 0)), int(state.get("last_seq", 0)))


Message = tuple[int, str, dict[str, str], bytes]
"""Sequence, subject, headers, data."""


async def last_of(link: Link, stream: str, subject: str) -> Message | None:
    """Return the last message of a subject, as the leader says; None: there is none.

    Raises:
        LogError: JetStream doesn't answer.
    """
    return await _got(link, stream, {"last_by_subj": subject})


async def _got(link: Link, stream: str, which: dict[str, Any]) -> Message | None:
    try:
        return _message(await link.look(f"STREAM.MSG.GET.{stream}", which))
    except ApiError as error:
        if error.code == NO_MESSAGE:
            return None
        raise


def _message(told: Mapping[str, Any]) -> Message:
    found = told.get("message", {})
    headers = _headers(base64.b64decode(found.get("hdrs", "")))
    return int(found["seq"]), str(found["subject"]), headers, base64.b64decode(found.get("data", ""))


def _headers(block: bytes) -> dict[str, str]:
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    return {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}


async def direct(link: Link, stream: str, ask: dict[str, Any]) -> list[Msg]:
    """Return messages as any replica has them, which may lack the newest; empty: there are none.

    Args:
        ask: as in https://docs.nats.io/nats-concepts/jetstream/streams#direct-get: seq, batch, max_bytes, …

    Raises:
        LogError: JetStream doesn't answer.
    """
    subject = f"$JS.API.DIRECT.GET.{stream}"
    messages = await link.gather(subject, json.dumps(ask).encode(), one="batch" not in ask)
    ended = status(messages[-1].headers)
    if ended is not None:
        messages.pop()
    if ended == 503:
        raise NoAnswer(f"JetStream gives nothing out of {stream}: it isn't there, or has no leader just now")
    if ended is not None and ended not in {204, 404}:
        raise LogError(f"JetStream refuses to give messages out of {stream}: status {ended}")
    return messages


async def first_after(link: Link, stream: str, subject: str, sequence: int) -> Msg | None:
    """Return the first message of a subject from a sequence on, as any replica has it; None: none.

    Raises:
        LogError: JetStream doesn't answer.
    """
    found = await direct(link, stream, {"seq": max(sequence, 1), "next_by_subj": subject})
    return found[0] if found else None


async def stretch(link: Link, stream: str, first: int, last: int) -> list[Stored | None]:
    """Return what stands from sequence `first` to `last`, which the stream has reached; None: it is gone.

    Raises:
        LogError: JetStream doesn't answer.
    """
    found: list[Stored | None] = []
    while first + len(found) <= last:
        at = first + len(found)
        messages = await direct(
            link, stream, {"seq": at, "batch": min(last - at + 1, _AT_ONCE), "max_bytes": 8 << 20}
        )
        reached = at - 1
        for message in messages:
            sequence = sequence_of(message)
            if sequence > last:
                break
            found += [None] * (sequence - reached - 1)
            found.append(stored(message))
            reached = sequence
        if reached < at:  # the replica that answers may not be so far yet
            found.append(await at_leader(link, stream, at))
    return found


async def at_leader(link: Link, stream: str, sequence: int) -> Stored | None:
    """Return a message as the leader has it; None: it is gone.

    Raises:
        LogError: JetStream doesn't answer.
    """
    found = await _got(link, stream, {"seq": sequence})
    return None if found is None else parse(*found)


def stored(message: Msg) -> Stored:
    """Return what a message is that was given out directly."""
    headers = message.headers or {}
    return parse(sequence_of(message), headers.get("Nats-Subject", ""), headers, message.data)


def sequence_of(message: Msg) -> int:
    """Return the place in its stream of a message that was given out directly."""
    return int((message.headers or {}).get("Nats-Sequence", "0"))
