"""The shell against a web server on loopback; no sleep here takes longer than a turn of the loop."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from gwcluster.identify.bootstrap import REQUEST_TIMEOUT_S, ask_until_answered, fetch, rest_session
from gwcluster.identify.gateway_info import GatewayInfo, Refused, RestAnswer
from gwcluster.identify.ledger import Ledger, LedgerError

TOKEN = "MTk4.secret.token"
WALL = 1_790_000_000.0
GOOD = {
    "url": "ws://127.0.0.1:9",
    "shards": 4,
    "session_start_limit": {"total": 1000, "remaining": 998, "reset_after": 60_000, "max_concurrency": 2},
}
INFO = GatewayInfo("ws://127.0.0.1:9", 4, 1000, 998, 60.0, 2)

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class World:
    """A stand-in for Discord's REST with scripted answers, and a clock that only sleeping moves."""

    path: Path
    answers: list[Answer]
    now: float = WALL
    timeout_s: float = 10.0
    jitter: float = 1.0
    ledger_type: type[Ledger] = Ledger
    slept: list[float] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    not_before_when_sleeping: list[float | None] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(dict(request.headers))
        self.paths.append(request.path)
        return await self.answers.pop(0)(request)

    async def sleep(self, seconds: float) -> None:
        self.not_before_when_sleeping.append(self.ledger.not_before)
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def ask(self) -> GatewayInfo | Refused:
        app = web.Application()
        app.router.add_get("/{tail:.*}", self.serve)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.ledger = self.ledger_type(self.path / "ledger", clock=lambda: self.now)
        try:
            async with rest_session() as session:
                return await ask_until_answered(
                    session,
                    f"http://127.0.0.1:{runner.addresses[0][1]}/api/v10/",
                    TOKEN,
                    ledger=self.ledger,
                    version="0.1.0",
                    timeout_s=self.timeout_s,
                    clock=lambda: self.now,
                    jitter=lambda: self.jitter,
                    sleep=self.sleep,
                )
        finally:
            self.ledger.close()
            await runner.cleanup()


def status(code: int, text: str = "", **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=code, text=text, headers={key.replace("_", "-"): value for key, value in headers.items()}
        )

    return answer


def good() -> Answer:
    return status(200, json.dumps(GOOD))


async def cut(request: web.Request) -> web.StreamResponse:
    """Break the connection; aiohttp asks a second time at once, so it takes two of these."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def test_the_request_says_who_asks(tmp_path: Path) -> None:
    # "You should specify which version to use by including it in the request path"; "Clients using the HTTP
    # API must provide a valid User Agent": https://docs.discord.com/developers/reference
    world = World(tmp_path, [good()])
    assert asyncio.run(world.ask()) == INFO
    assert world.paths == ["/api/v10/gateway/bot"]
    (headers,) = world.requests
    assert headers["Authorization"] == "Bot MTk4.secret.token"
    assert headers["User-Agent"] == "DiscordBot (https://github.com/gwcluster/gwcluster, 0.1.0)"


def test_500_502_and_a_reset_are_tried_again_later_and_later(tmp_path: Path) -> None:
    # 502: "There was not a gateway available to process your request. Wait a bit and retry."
    # https://docs.discord.com/developers/topics/opcodes-and-status-codes#http-http-response-codes
    world = World(tmp_path, [status(500), status(502, "<html>"), cut, cut, good()])
    assert asyncio.run(world.ask()) == INFO
    assert world.slept == [1.0, 2.0, 4.0]
    assert world.not_before_when_sleeping == [None, None, None]


def test_401_is_one_request_and_the_end(tmp_path: Path) -> None:
    # "401 responses are avoided by ... stopping further requests after a token becomes invalid"
    # https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
    world = World(tmp_path, [status(401, '{"message": "401: Unauthorized", "code": 0}')])
    assert isinstance(asyncio.run(world.ask()), Refused)
    assert (len(world.requests), world.slept) == (1, [])


def test_403_with_html_is_one_request_and_the_end(tmp_path: Path) -> None:
    world = World(tmp_path, [status(403, "<!DOCTYPE html>")])
    assert isinstance(asyncio.run(world.ask()), Refused)
    assert (len(world.requests), world.slept) == (1, [])


def test_a_short_rate_limit_is_waited_out_once(tmp_path: Path) -> None:
    world = World(tmp_path, [status(429, '{"retry_after": 1.5, "global": false}'), good()])
    assert asyncio.run(world.ask()) == INFO
    assert world.slept == [2.0]


def test_a_long_rate_limit_is_on_disk_before_the_wait_and_holds_after_a_restart(tmp_path: Path) -> None:
    class Killed(Exception):  # noqa: N818 - stands for SIGKILL
        pass

    class Dies(World):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(0.0)
            raise Killed

    first = Dies(tmp_path, [status(429, "", Retry_After="82721")])
    with pytest.raises(Killed):
        asyncio.run(first.ask())
    assert first.not_before_when_sleeping == [WALL + 82_721.5]

    second = World(tmp_path, [good()], now=WALL + 10.0)
    assert asyncio.run(second.ask()) == INFO
    assert second.slept == [82_711.5]


@pytest.mark.parametrize(("headers", "most"), [({}, 25), ({"Retry_After": "0"}, 600)])
def test_refusals_stay_far_below_ten_thousand_in_ten_minutes(
    tmp_path: Path, headers: dict[str, str], most: int
) -> None:
    # "IP addresses that make too many invalid HTTP requests are ... restricted": 10,000 per 10 minutes.
    # https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans
    class Long(World):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if self.now >= WALL + 600.0:
                self.answers = [good()]

    world = Long(tmp_path, [status(429, "", **headers) for _ in range(1000)], jitter=0.0)
    assert asyncio.run(world.ask()) == INFO
    assert len(world.requests) <= most + 1


def test_a_rate_limit_that_cannot_be_kept_is_waited_out_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(Ledger):
        def set_not_before(self, wall: float) -> None:
            raise LedgerError("disk full")

    world = World(tmp_path, [status(429, "", Retry_After="3"), good()], ledger_type=Full)
    assert asyncio.run(world.ask()) == INFO
    assert world.slept == [3.5]
    assert "disk full" in caplog.text


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    world = World(tmp_path, [status(302, "", Location="/elsewhere"), good()])
    assert asyncio.run(world.ask()) == INFO
    assert world.paths == ["/api/v10/gateway/bot"] * 2


def test_an_endless_answer_is_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65_536)
        except ConnectionError:
            return response

    world = World(tmp_path, [endless, good()])
    assert asyncio.run(world.ask()) == INFO
    assert "an answer of over 65536 bytes" in caplog.text


def test_a_silent_server_is_given_up_after_a_while(tmp_path: Path) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.15)
        return web.Response()

    world = World(tmp_path, [silent, good()], timeout_s=0.05)
    assert asyncio.run(world.ask()) == INFO
    assert world.slept == [1.0]


def test_ten_seconds_are_what_a_request_may_take() -> None:
    assert REQUEST_TIMEOUT_S == 10.0


def test_an_answer_that_can_not_be_unpacked_is_tried_again_with_one_line_of_a_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path, [status(200, "{}", Content_Encoding="gzip"), good()])
    assert asyncio.run(world.ask()) == INFO
    (said,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert "Can not decode" in said
    assert "\n" not in said


def test_no_server_at_all_is_an_answer_with_a_reason() -> None:
    async def ask() -> RestAnswer:
        async with rest_session() as session:
            return await fetch(session, "http://127.0.0.1:1", TOKEN, version="0.1.0")

    answer = asyncio.run(ask())
    assert answer.status is None
    assert "127.0.0.1:1" in answer.error


def test_the_token_is_not_shown_to_a_host_whose_certificate_is_not_trusted() -> None:
    async def ask() -> tuple[RestAnswer, list[web.BaseRequest]]:
        seen: list[web.BaseRequest] = []

        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            seen.append(request)
            return web.json_response(GOOD)

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("localhost").configure_cert(tls)
        runner = web.ServerRunner(web.Server(serve))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        async with rest_session() as session:
            api = f"https://localhost:{runner.addresses[0][1]}/api/v10"
            answer = await fetch(session, api, TOKEN, version="0.1.0")
        await runner.cleanup()
        return answer, seen

    answer, seen = asyncio.run(ask())
    assert (answer.status, seen) == (None, [])
    assert "certificate verify failed" in answer.error


def test_the_environment_has_no_say_in_the_way_to_discord(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    world = World(tmp_path, [good()])
    assert asyncio.run(world.ask()) == INFO
    assert world.slept == []


def test_the_log_tells_the_story_and_never_the_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, text=str(dict(request.headers))[-190:])

    caplog.set_level(logging.DEBUG)
    world = World(tmp_path, [status(502), echo, cut, cut, status(429, "", Retry_After="3"), good()])
    assert asyncio.run(world.ask()) == INFO
    assert "status 502" in caplog.text
    assert "rate limited (status 429); asking again in 3.5 s" in caplog.text
    assert "recommends 4 shards, max_concurrency 2; 998 of 1000 identifies are left" in caplog.text
    assert "[token]" in caplog.text
    assert TOKEN not in caplog.text


def test_a_session_keeps_no_cookies() -> None:
    async def jar() -> aiohttp.abc.AbstractCookieJar:
        async with rest_session() as session:
            return session.cookie_jar

    assert isinstance(asyncio.run(jar()), aiohttp.DummyCookieJar)


def test_a_session_speaks_nothing_older_than_tls_1_2() -> None:
    async def oldest() -> ssl.TLSVersion:
        async with rest_session() as session:
            connector = session.connector
            assert isinstance(connector, aiohttp.TCPConnector)
            assert isinstance(connector._ssl, ssl.SSLContext)
            assert connector._ssl.verify_mode is ssl.CERT_REQUIRED
            return connector._ssl.minimum_version

    assert asyncio.run(oldest()) is ssl.TLSVersion.TLSv1_2
