"""The webhook's shell against a web server on loopback, on a clock that only sleeping moves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gwcluster.board import Counts
from gwcluster.identify.bootstrap import rest_session
from gwcluster.notify.post import Messenger, Webhook, told
from gwcluster.sight import Sight
from gwsimulator import Settings
from support.cluster import Cluster, environment_of, running, until
from support.discord import discord as simulator

WELL = Sight(counts=Counts(ready=4, total=4, degraded=0, failed=0), live=frozenset(range(4)))
FAILED = Sight(counts=Counts(ready=3, total=4, degraded=0, failed=1), failed={3: "died 6 times"})
SECRET = "hook/secret"


class EnoughError(Exception):
    """The scene is over."""


@dataclass
class Scene:
    """A stand-in for the webhook with scripted statuses; 204 when they are used up."""

    statuses: list[int] = field(default_factory=list)
    retry_after: str | None = None
    seen: Sight = FAILED
    now: float = 10_000.0
    ends_at: float = 10_060.0
    slept: list[float] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    hang: bool = False
    change: Callable[[Scene], None] = lambda _: None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        assert request.path == f"/{SECRET}"
        self.got.append(json.loads(await request.read()))
        self.at.append(self.now)
        if self.hang:
            await asyncio.sleep(60)
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204, headers=headers)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.change(self)
        if self.now > self.ends_at:
            raise EnoughError
        await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def messenger(self, timeout_s: float = 5.0) -> Any:
        app = web.Application()
        app.router.add_post("/{tail:.*}", self.serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/{SECRET}"
        try:
            async with rest_session() as session:
                yield Messenger(
                    Webhook(url, "json", "bot"),
                    lambda: self.seen,
                    session,
                    clock=lambda: self.now,
                    wall=lambda: 1_790_000_000.0,
                    jitter=lambda: 1.0,
                    sleep=self.sleep,
                    timeout_s=timeout_s,
                )
        finally:
            await runner.cleanup()

    def play(self, timeout_s: float = 5.0) -> Scene:
        async def run() -> None:
            async with self.messenger(timeout_s) as messenger:
                with contextlib.suppress(EnoughError):
                    await messenger.run()

        asyncio.run(asyncio.wait_for(run(), 30))
        return self


def test_what_happened_arrives_once() -> None:
    scene = Scene(ends_at=11_000.0).play()
    assert [one["text"] for data in scene.got for one in data["news"]] == [
        "shard 3: given up, for 2 s: died 6 times",
        "not all shards are live, for 5 min 2 s: 3 of 4 shards are live",
    ]


def test_a_429_is_waited_out_as_long_as_it_says() -> None:
    scene = Scene(statuses=[429], retry_after="7.5").play()
    assert len(scene.got) == 2
    assert 7.5 in scene.slept
    assert scene.got[0] == scene.got[1]


def test_what_may_pass_is_tried_five_times_and_given_up_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(statuses=[503] * 10, ends_at=12_900.0).play()
    assert [later for later in scene.slept if later != 1.0] == [2.0, 4.0, 8.0] * 2
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        "the webhook takes no message: status 503; nobody is told by it, and it is tried every 15 minutes"
    ]
    assert len(scene.got) == 11
    assert scene.at[5] - scene.at[4] >= 900.0
    assert len(scene.got[-1]["news"]) == 2  # nothing was lost by it


def test_a_webhook_that_is_gone_is_not_pestered_and_its_return_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene(statuses=[404], ends_at=11_000.0).play()
    assert len(scene.got) == 2
    assert scene.at[1] - scene.at[0] >= 900.0
    assert [record.levelname for record in caplog.records if record.name.startswith("gwcluster")] == [
        "ERROR",
        "INFO",
    ]
    assert SECRET not in caplog.text


def test_a_webhook_that_does_not_answer_is_left(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(hang=True, ends_at=10_030.0).play(timeout_s=0.05)
    assert len(scene.got) == 5
    assert "no answer within 0.05 s" in caplog.text


def test_an_address_where_nobody_listens_is_never_said(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()

    async def run() -> None:
        async with rest_session() as session:
            messenger = Messenger(
                Webhook(f"http://127.0.0.1:9/{SECRET}", "discord", "bot"),
                lambda: FAILED,
                session,
                clock=lambda: scene.now,
                wall=lambda: 0.0,
                jitter=lambda: 1.0,
                sleep=scene.sleep,
            )
            with contextlib.suppress(EnoughError):
                await messenger.run()

    asyncio.run(asyncio.wait_for(run(), 30))
    assert "no answer (ClientConnectorError)" in caplog.text
    assert SECRET not in caplog.text


def test_no_proxy_of_the_environment_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert len(Scene().play().got) == 1


@pytest.mark.parametrize(("stopped", "messages"), [(False, 1), (True, 0)])
def test_an_end_that_nobody_asked_for_is_told_at_once(stopped: bool, messages: int) -> None:
    scene = Scene()

    async def run() -> None:
        async with scene.messenger() as messenger, told(messenger, lambda: stopped):
            pass

    asyncio.run(asyncio.wait_for(run(), 30))
    assert len(scene.got) == messages


class _Discord(BaseHTTPRequestHandler):
    """Refuses every token, and takes what is posted."""

    posted: list[bytes]

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def do_POST(self) -> None:
        self.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def discord() -> Iterator[tuple[str, list[bytes]]]:
    """Yield an address, and what was posted to it."""
    posted: list[bytes] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Discord,), {"posted": posted}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.e2e
def test_no_worker_has_the_address_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_URL", f"http://127.0.0.1:9/{SECRET}")
    with (
        simulator(Settings()) as sim,
        running(tmp_path, sim.api, notify="\n  webhook: ${WEBHOOK_URL}") as cluster,
    ):
        cluster.wait_ready()
        nursery, *workers = cluster.everything()[1:]
        assert workers
        for pid in (nursery, *workers):
            assert b"PATH=" in environment_of(pid)
            assert SECRET.encode() not in environment_of(pid)


@pytest.mark.e2e
def test_a_real_cluster_that_discord_refuses_says_so_before_it_ends(
    tmp_path: Path, discord: tuple[str, list[bytes]]
) -> None:
    address, posted = discord
    hook = tmp_path / "hook"
    hook.write_text(f"{address}/{SECRET}\n")
    notify = f"{{webhook_file: '{hook}'}}"
    cluster = Cluster(tmp_path, f"{address}/api/v10", notify=notify)
    process = cluster.start()
    try:
        assert process.wait(30) == 64
    finally:
        process.kill()
        process.wait()
    until(lambda: posted, "a message")
    (message,) = posted
    content = json.loads(message)["content"]
    assert content.startswith("**e2e**\n🔴 Discord refuses the bot; nothing is started again")
    assert "status 401" in content
    assert SECRET not in cluster.text()
