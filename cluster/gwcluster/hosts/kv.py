"""A bucket of NATS's key-value store, with what its traps ask for (does).

Nothing is read from followers, which may be behind. Only the bucket has a TTL, never a message: an update
would drop that. A request that isn't answered in time raises `UnansweredError`, and may still happen;
nothing is sent while there is no connection, or the client would keep it for later. Nothing is retried here
but what didn't happen for sure.

Sources:
    https://docs.nats.io/nats-concepts/jetstream/key-value-store
    https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-8.md
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from nats import errors as nats_errors
from nats.aio.client import Client

from gwcluster.errors import quoted
from gwcluster.hosts.errors import HostsError, KvError, TakenError, UnansweredError

REPLICAS: Final = 3
OLDEST_SERVER: Final = (2, 11)
ASK_S: Final = 5.0
TRIES: Final = 4

_WRONG_LAST: Final = {10071, 10164}
_NO_MESSAGE: Final = 10037
_NO_STREAM: Final = 10059
_IN_USE: Final = 10058
_TOO_FEW_PEERS: Final = {10005, 10074}
"""Codes of the server's errors.json: JSStreamWrongLastSequence(Constant), JSNoMessageFound, JSStreamNotFound,
JSStreamNameExist, JSClusterNoPeers, JSStreamReplicasNotSupported."""


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a bucket has under a key.

    Attributes:
        value: None: it was deleted, and a note of that is left.
        revision: grows with everything that is written to the bucket.
    """

    key: str
    value: bytes | None
    revision: int


class Bucket:
    """One bucket, history 1, in files, on up to three servers.

    Args:
        client: connected; the caller's to close.
        name: of the bucket: letters, digits, `-` and `_`.
        ttl_s: after which what wasn't written again is gone; None: never.
        within_s: how long an answer may take.
    """

    def __init__(self, client: Client, name: str, *, ttl_s: float | None, within_s: float = ASK_S) -> None:
        self.client = client
        self.name = name
        self.stream = f"KV_{name}"
        self.ttl_s = ttl_s
        self._within_s = within_s

    async def make(self) -> None:
        """Create the bucket, or bring one that is there up to date.

        Raises:
            HostsError: the server is too old, or refuses.
            UnansweredError: JetStream doesn't answer; try again.
        """
        check_version(self.client)
        for replicas in range(REPLICAS, 0, -1):
            try:
                await self._make(replicas)
            except _RefusedError as refused:
                if refused.code not in _TOO_FEW_PEERS or replicas == 1:
                    raise KvError(f"bucket {self.name!r} can't be made: {refused}") from None
            else:
                return

    async def _make(self, replicas: int) -> None:
        wanted = self._configuration(replicas)
        try:
            await self._api(f"STREAM.CREATE.{self.stream}", wanted)
        except _RefusedError as refused:
            if refused.code != _IN_USE:
                raise
            there = (await self._api(f"STREAM.INFO.{self.stream}", {}))["config"]
            wanted["num_replicas"] = max(replicas, there["num_replicas"])  # a server that is away comes back
            if any(there.get(key) != value for key, value in wanted.items()):
                await self._api(f"STREAM.UPDATE.{self.stream}", {**there, **wanted})

    def _configuration(self, replicas: int) -> dict[str, Any]:
        age_ns = 0 if self.ttl_s is None else round(self.ttl_s * 1e9)
        return {
            "name": self.stream,
            "subjects": [f"$KV.{self.name}.>"],
            "retention": "limits",
            "storage": "file",
            "discard": "new",
            "max_msgs_per_subject": 1,
            "max_age": age_ns,
            "duplicate_window": min(age_ns or 120_000_000_000, 120_000_000_000),
            "num_replicas": replicas,
            "allow_direct": True,  # what every KV client expects; we don't use it
            "allow_rollup_hdrs": True,
            "deny_delete": True,
        }

    async def get(self, key: str) -> Entry | None:
        """Return what the leader has under a key; None: nothing, not even a note of a deletion.

        Raises:
            UnansweredError, KvError
        """
        try:
            found = await self._api(
                f"STREAM.MSG.GET.{self.stream}", {"last_by_subj": self._subject(key)}, key
            )
        except _RefusedError as refused:
            if refused.code == _NO_MESSAGE:
                return None
            raise self._failed("get", key, refused) from None
        message = found["message"]
        value = base64.b64decode(message.get("data", ""))
        removed = is_removal(base64.b64decode(message.get("hdrs", "")))
        return Entry(key, None if removed else value, int(message["seq"]))

    async def create(self, key: str, value: bytes) -> int:
        """Write what isn't there; return the revision.

        Raises:
            TakenError: it is there, or was when we looked.
            UnansweredError: it may have happened, or still may.
            KvError: refused for another reason.
        """
        last = 0
        for _ in range(TRIES):
            try:
                return await self._put("create", key, value, last)
            except TakenError:
                there = await self.get(key)
                if there is not None and there.value is not None:
                    raise
                last = 0 if there is None else there.revision  # it ended meanwhile, or a deletion is left
        raise TakenError(f"bucket {self.name!r}, key {key!r}: others write it all the time")

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """Write over `revision`; return the new one.

        Raises:
            TakenError: another revision is there, or another write is under way.
            UnansweredError: it may have happened, or still may.
            KvError: refused for another reason.
        """
        return await self._put("update", key, value, revision)

    async def delete(self, key: str, revision: int) -> int:
        """Delete `revision`; return the deletion's. Raises as `update` does."""
        return await self._put("delete", key, b"", revision, {"KV-Operation": "DEL"})

    async def _put(
        self, what: str, key: str, value: bytes, last: int, headers: dict[str, str] | None = None
    ) -> int:
        headers = {**(headers or {}), "Nats-Expected-Last-Subject-Sequence": str(last)}
        try:
            answer = await self._ask(self._subject(key), value, key, headers)
        except _RefusedError as refused:
            if refused.code in _WRONG_LAST:
                raise TakenError(
                    f"bucket {self.name!r}, key {key!r}: {what} found another revision"
                ) from None
            raise self._failed(what, key, refused) from None
        return int(answer["seq"])

    def _subject(self, key: str) -> str:
        return f"$KV.{self.name}.{key}"

    def _failed(self, what: str, key: str, why: object) -> KvError:
        return KvError(f"bucket {self.name!r}, key {key!r}: {what} failed: {why}")

    async def server_time(self) -> float:
        """Return what the server's clock says, in Unix seconds. Raises UnansweredError, KvError."""
        try:
            found = await self._api(f"STREAM.INFO.{self.stream}", {})
            return datetime.datetime.fromisoformat(found["ts"]).timestamp()
        except (_RefusedError, KeyError, ValueError) as error:
            raise KvError(f"bucket {self.name!r}: the server doesn't tell the time: {error}") from None

    async def consume(self, deliver_to: str, key: str, *, heartbeat_s: float) -> dict[str, Any]:
        """Have the last entry of a key (or of each: ">") and what follows sent to a subject.

        Returns:
            the server's answer.

        Raises:
            UnansweredError, KvError
        """
        wanted = {
            "stream_name": self.stream,
            "config": {
                "deliver_subject": deliver_to,
                "deliver_policy": "last_per_subject",
                "ack_policy": "none",
                "replay_policy": "instant",
                "max_deliver": 1,
                "mem_storage": True,
                "num_replicas": 1,
                "idle_heartbeat": round(heartbeat_s * 1e9),
                "inactive_threshold": round(3 * heartbeat_s * 1e9),
                "filter_subject": self._subject(key),
            },
        }
        try:
            return await self._api(f"CONSUMER.CREATE.{self.stream}", wanted)
        except _RefusedError as refused:
            raise KvError(f"bucket {self.name!r} can't be watched: {refused}") from None

    async def _api(self, what: str, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        return await self._ask(f"$JS.API.{what}", json.dumps(body).encode(), key)

    async def _ask(
        self, subject: str, data: bytes, key: str | None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        about = f"bucket {self.name!r}" if key is None else f"bucket {self.name!r}, key {key!r}"
        if not self.client.is_connected:
            raise UnansweredError(f"{about}: there is no connection to NATS")
        try:
            asked = self.client.request(subject, data, timeout=self._within_s, headers=headers)
            message = await heedful(asked)
        except nats_errors.NoRespondersError:
            raise UnansweredError(
                f"{about}: JetStream has no leader for it just now, or is off", leaderless=True
            ) from None
        except (nats_errors.Error, OSError, TimeoutError) as error:
            said = "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise UnansweredError(f"{about}: {said} within {self._within_s:g} s") from None
        try:
            answer: dict[str, Any] = json.loads(message.data)
        except ValueError:
            raise UnansweredError(f"{about}: an answer that isn't JSON: {quoted(message.data)}") from None
        if (refused := answer.get("error")) is not None:
            code, about_it = int(refused.get("err_code", 0)), str(refused.get("description", ""))
            if int(refused.get("code", 0)) == 503 and code not in _TOO_FEW_PEERS:
                raise UnansweredError(f"{about}: {about_it}", leaderless=True)
            raise _RefusedError(code, about_it)
        return answer


async def heedful(waiting: Awaitable[_T]) -> _T:
    """Wait for the client; a cancellation that it swallows (as it does while it flushes) is raised."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        return await waiting
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


class _RefusedError(Exception):
    def __init__(self, code: int, about: str) -> None:
        super().__init__(f"{about} ({code})")
        self.code = code


def is_removal(headers: bytes) -> bool:
    """Say whether a message's headers make it a note of a deletion."""
    return (
        b"KV-Operation: DEL" in headers
        or b"KV-Operation: PURGE" in headers
        or b"Nats-Marker-Reason" in headers
    )


def check_version(client: Client) -> None:
    """Raise HostsError if the server that we are connected to is too old."""
    version = client.connected_server_version
    if (version.major, version.minor) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise HostsError(
            f"the NATS server is {version.major}.{version.minor}: several hosts need {oldest} or newer"
        )
