"""A cluster without processes whose shards a test moves, and the real HTTP server that shows it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from gwcluster.web.limits import Limits
from gwcluster.web.server import Web
from support.cluster import until
from support.statuses import hosts, neighbour

NAME = "example"


def shard(number: int, state: str = "live", *, now: float, **changes: Any) -> dict[str, Any]:
    """Return what a status document tells of a shard that is well, but for the changes."""
    dice = random.Random(number)
    return {
        "shard": number,
        "state": state,
        "reason": "READY" if state == "live" else "as the test says",
        "since": now - 5000.0,
        "host": None,
        "free": False,
        "pid": 20_000 + number,
        "restarts": 0,
        "deaths": 0,
        "degraded": None,
        "latency_s": 0.02 + dice.random() / 20,
        "events": 1000,
        "events_per_s": 20.0 + 10.0 * dice.random(),
        "event_age_s": 0.1,
        "ack_age_s": 10.0,
        "resumes": 0,
        "identifies": 1,
        "session": 1,
        "session_age_s": 5000.0,
        "offset": 1000,
        "pulse_age_s": 1.0,
        "fresh": state == "live",
        "guilds": 900 + dice.randrange(200),
        "memory_bytes": (5 << 20) + dice.randrange(1 << 20),
        **changes,
    }


def status(shard: list[dict[str, Any]], *, now: float, **changes: Any) -> dict[str, Any]:
    """Return a status document of these shards, but for the changes."""
    return {
        "name": NAME,
        "version": "1.2.3",
        "pid": 4321,
        "started_at": now - 6000.0,
        "now": now,
        "shards": len(shard),
        "ids": [each["shard"] for each in shard],
        "ready": sum(each["state"] == "live" and each["fresh"] for each in shard),
        "total": sum(each["state"] != "elsewhere" for each in shard),
        "degraded": sum(each["degraded"] is not None for each in shard),
        "failed": sum(each["state"] == "failed" for each in shard),
        "events_per_s": math.fsum(each["events_per_s"] or 0.0 for each in shard),
        "guilds": sum(each["guilds"] or 0 for each in shard),
        "reloaded_at": None,
        "rolling": None,
        "hosts": None,
        "identifies": {"total": 1000, "remaining": 940, "spendable": 840, "resets_at": now + 30_000.0},
        "shard": shard,
        **changes,
    }


class ShownCluster:
    """What `gwcluster.operations.Operations` is to HTTP.

    Attributes:
        changes: keys that the status document has otherwise.
        restarted: what was asked for, `(shard, rolling)`.
        refuses: the answer to who wants a restart, None: it is taken.
    """

    def __init__(self, shards: int, now: Callable[[], float] = time.time) -> None:
        self.shards = [shard(number, now=now()) for number in range(shards)]
        self.changes: dict[str, Any] = {}
        self.restarted: list[tuple[int | None, bool]] = []
        self.refuses: str | None = None
        self._now = now
        self._listeners: list[Callable[[], None]] = []

    def status(self) -> dict[str, Any]:
        return status([dict(each) for each in self.shards], now=self._now(), **self.changes)

    def restart(self, shard: int | None, *, rolling: bool) -> str | None:
        self.restarted.append((shard, rolling))
        return self.refuses

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def move(self, number: int, state: str, reason: str = "as the test says", **changes: Any) -> None:
        """Change a shard's state, and tell; call it in the server's thread."""
        self.shards[number].update(
            state=state, reason=reason, since=self._now(), fresh=state == "live", **changes
        )
        for listener in list(self._listeners):
            listener()


def three_hosts(cluster: ShownCluster, **changes: Any) -> None:
    """Make it the second of three hosts, each with a third of the shards.

    Args:
        cluster: what is shown.
        changes: of `hosts` in the status document.
    """
    count = len(cluster.shards) // 3
    all_ = [
        neighbour(name, range(first * count, (first + 1) * count))
        for first, name in enumerate(("ams-1", "fra-1", "lon-1"))
    ]
    unknown = dict.fromkeys(
        ("pid", "latency_s", "events", "events_per_s", "pulse_age_s", "guilds", "memory_bytes")
    )
    for host in all_:
        for number in host["shards"]:
            cluster.shards[number]["host"] = host["name"]
            if host["name"] != "fra-1":
                words = f"live on host {host['name']}"
                cluster.shards[number].update(state="elsewhere", reason=words, fresh=False, **unknown)
    cluster.changes["hosts"] = {**hosts("fra-1", *all_), **changes}


class Served:
    """A server at work in a thread of its own."""

    def __init__(
        self,
        cluster: ShownCluster,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        **limits: Any,
    ) -> None:
        self.cluster = cluster
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.web = self._call(self._make(host, port, token, Limits(**limits)))
        self._call(self.web.start())
        self.port = self.web.port
        self.origin = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._call(self.web.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def move(self, number: int, state: str, reason: str = "as the test says", **changes: Any) -> None:
        """See `ShownCluster.move`."""

        async def moved() -> None:
            self.cluster.move(number, state, reason, **changes)

        self._call(moved())

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Make one request; return status, body and headers of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method, path, body, {key.replace("_", "-"): value for key, value in headers.items()}
            )
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def json(self, path: str, method: str = "GET", body: object = None, **headers: str) -> tuple[int, Any]:
        """Make one request; return status and what the answer's JSON is."""
        sent = None if body is None else json.dumps(body).encode()
        code, text, _ = self.ask(path, method, sent, **headers)
        return code, json.loads(text)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def _make(self, host: str, port: int, token: str | None, limits: Limits) -> Web:
        return Web(host, port, self.cluster, token=token, clock=time.monotonic, limits=limits)


@contextlib.contextmanager
def served(
    shards: int = 4, token: str | None = None, host: str = "127.0.0.1", port: int = 0, **limits: Any
) -> Iterator[Served]:
    """Serve a cluster as long as the block runs."""
    server = Served(ShownCluster(shards), token, host, port, **limits)
    try:
        yield server
    finally:
        server.close()
        until(lambda: not server.cluster.listeners, "nobody to listen any more")
