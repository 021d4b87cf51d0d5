"""F11, F12 and F19: dials that become no websocket, and what a dial says.

What Discord asks of them: https://docs.discord.com/developers/events/gateway#connecting and #resuming.
"""

from __future__ import annotations

import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from support.link_rig import Heard, dial
from support.scene import Scene, stage

DIAL_S = 15.0
COMPRESSIONS = ["zstd-stream", "zlib-stream", "none"]


def hosts(scene: Scene) -> list[str]:
    """Return the host of each connection, in order."""
    return [one.host for one in scene.sim.ledger.connections]


# An upgrade that is never answered


def test_f11_an_upgrade_without_an_answer_is_left_after_15_s_and_holds_no_permit(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.hang_dials()
        await scene.start()
        await scene.live()
        (hung,) = scene.sim.ledger.refused
        first, second = scene.sim.ledger.connections
        assert first.at - hung.at < 1.0, "of the other shard"
        assert DIAL_S <= second.at - hung.at <= DIAL_S + 1.1
        one, other = scene.sim.ledger.identifies
        assert one.at - hung.at < 5.5, "the one that hangs goes first, but is not waited for for long"
        assert other.at - second.at < 0.5
        assert {one.outcome for one in (one, other)} == {"ready"}

    stage(tmp_path, play, start=False, shards=2)


def test_f11_a_resume_host_that_never_answers_costs_15_s_and_not_the_session(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.hang_dials(host="resume", times=None)
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        (hung,) = scene.sim.ledger.refused
        assert (resume.host, resume.outcome) == ("gateway", "resumed")
        assert DIAL_S <= resume.at - hung.at <= DIAL_S + 1.1
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated={"wrong_resume_host"})  # Discord's own advice where it can't be reached


def test_f11_a_gateway_that_never_answers_is_dialed_about_once_a_minute(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.hang_dials(times=None)
        await scene.start()
        await scene.run_for(1200.0)
        moments = [one.at for one in scene.sim.ledger.refused]
        gaps = [after - before for before, after in pairwise(moments)]
        assert min(gaps) >= DIAL_S
        assert max(gaps) <= DIAL_S + 61.0
        assert 15 <= len(moments) <= 40
        scene.sim.answer_dials()
        await scene.live()
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, start=False)


# An upgrade that is refused

REFUSALS: dict[str, dict[str, Any]] = {
    "401 of a Cloudflare worker": {"status": 401},
    "403 with a challenge": {"status": 403, "headers": {"cf-mitigated": "challenge"}, "body": "<html>"},
    "404": {"status": 404},
    "429": {"status": 429},
    "502 in HTML": {"status": 502, "body": "<html><h1>502 Bad Gateway</h1>"},
    "503": {"status": 503},
    "520 of Cloudflare": {"status": 520},
    "200": {"status": 200, "body": "hello"},
}


@pytest.mark.parametrize("how", REFUSALS.values(), ids=REFUSALS)
def test_f12_a_refused_upgrade_is_a_failed_dial_and_says_nothing_of_the_token(
    tmp_path: Path, how: dict[str, Any]
) -> None:
    # Tokens are judged by IDENTIFY; what answers an upgrade stands in front of Discord.
    async def play(scene: Scene) -> None:
        scene.sim.refuse_upgrades(**how, times=6)
        await scene.start()
        await scene.live(within_s=300.0)
        moments = [one.at for one in scene.sim.ledger.refused] + [scene.sim.ledger.connections[0].at]
        gaps = [after - before for before, after in pairwise(moments)]
        assert len(gaps) == 6
        assert gaps[0] <= 1.01
        assert sum(gaps[3:]) > sum(gaps[:3]), "they grow"
        assert max(gaps) <= 60.0
        assert len(scene.sim.ledger.identifies) == 1
        assert f"HTTP {how['status']}" in scene.story("no connection")

    stage(tmp_path, play, start=False)


@pytest.mark.parametrize("status", [401, 403, 429, 502])
def test_f12_a_resume_host_that_refuses_the_upgrade_costs_neither_the_session_nor_an_identify(
    tmp_path: Path, status: int
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.refuse_upgrades(status, host="resume", times=None)
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert (resume.host, resume.outcome) == ("gateway", "resumed")
        assert len(scene.sim.ledger.refused) == 1
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, violated={"wrong_resume_host"})


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "least_s", "most_s"),
    [
        ("30", 30.0, 30.5),
        ("1.5", 1.5, 2.5),
        ("300", 300.0, 301.0),
        ("0", 0.0, 1.1),
        ("-7", 0.0, 1.1),
        ("nan", 0.0, 1.1),
        ("soon", 0.0, 1.1),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0, 1.1),
    ],
)
def test_f12_retry_after_of_a_refused_upgrade_is_waited_for_in_seconds(
    tmp_path: Path, status: int, asked: str, least_s: float, most_s: float
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.refuse_upgrades(status, headers={"Retry-After": asked})
        await scene.start()
        await scene.run_for(most_s + 5.0)
        (refused,) = scene.sim.ledger.refused
        (connection,) = scene.sim.ledger.connections
        assert least_s <= connection.at - refused.at <= most_s

    stage(tmp_path, play, start=False)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_f12_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    # Whoever is dialed gets the token.
    async def play(scene: Scene) -> None:
        scene.sim.refuse_upgrades(status, headers={"Location": scene.sim.resume_url})
        await scene.start()
        await scene.live()
        assert hosts(scene) == ["gateway"]
        assert f"HTTP {status}" in scene.story("no connection")

    stage(tmp_path, play, start=False)


@pytest.mark.parametrize("what", ["reset_dials", "garble_dials"])
def test_f12_what_answers_an_upgrade_by_no_http_at_all_is_a_failed_dial(tmp_path: Path, what: str) -> None:
    async def play(scene: Scene) -> None:
        getattr(scene.sim, what)(times=3)
        await scene.start()
        await scene.live()
        moments = [one.at for one in scene.sim.ledger.refused] + [scene.sim.ledger.connections[0].at]
        gaps = [after - before for before, after in pairwise(moments)]
        assert len(gaps) == 3
        assert gaps[0] <= 1.01, "it is seen at once, not after 15 s"
        assert max(gaps) <= 4.1
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, start=False)


def test_f12_proxies_of_the_environment_are_nobodys_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    async def play(scene: Scene) -> None:
        await scene.live()
        scene.sim.abort(0)
        await scene.until(lambda: scene.sim.ledger.resumes)

    stage(tmp_path, play)


# What a dial says


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("tail", ["", "/", "/?v=9&encoding=etf", "?compress=zlib-stream", "//"])
def test_f19_every_dial_asks_for_the_same_version_encoding_and_compression(
    tmp_path: Path, compression: str, tail: str
) -> None:
    # "using resume_gateway_url ... with the same query parameters from the initial Connection": it comes
    # without any. https://docs.discord.com/developers/events/gateway#preparing-to-resume
    async def play(scene: Scene) -> None:
        scene.sim.resume_url += tail
        await scene.start()
        await scene.live()
        for _ in range(2):
            scene.sim.abort(0)
            await scene.until(lambda: not scene.is_live(0))
            await scene.live()
        scene.sim.op9(0)
        await scene.until(lambda: len(scene.sim.ledger.identifies) == 2)
        expected = {"v": "10", "encoding": "json"}
        if compression != "none":
            expected["compress"] = compression
        assert [one.query for one in scene.sim.ledger.connections] == [expected] * 4
        assert hosts(scene) == ["gateway", "resume", "resume", "gateway"]

    stage(tmp_path, play, start=False, config={"gateway": {"compression": compression}})


def test_f19_a_resume_address_dialed_as_it_came_fails_any_test(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        async with connect(scene.sim.resume_url, proxy=None) as bare:
            await bare.recv()

    with pytest.raises(AssertionError, match="violation of resume_url_without_query"):
        stage(tmp_path, play)


@pytest.mark.parametrize(
    "url",
    ["wss://gateway.example.org", "https://gateway.discord.gg", "", "not an address", "ws://[::1", None, 7],
)
def test_f19_a_resume_address_that_leads_elsewhere_is_not_dialed_and_the_session_is_resumed_all_the_same(
    tmp_path: Path, url: Any
) -> None:
    async def play(scene: Scene) -> None:
        scene.sim.resume_url = url
        await scene.start()
        await scene.live()
        scene.sim.abort(0)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert (resume.host, resume.outcome) == ("gateway", "resumed")
        assert len(scene.sim.ledger.identifies) == 1

    # There is no other host to go to.
    stage(tmp_path, play, start=False, violated={"wrong_resume_host"}, excused={"I5"})


def test_f18_a_host_name_is_looked_up_anew_for_each_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    # The nodes behind a resume address come and go.
    addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **how: Any) -> Any:
        if host == "gateway.test" and "flags" not in how:
            host = addresses.pop(0)
        return real(host, port, **how)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def go() -> None:
        met: list[str] = []

        async def gateway(peer: ServerConnection) -> None:
            met.append(peer.local_address[0])
            await peer.wait_closed()

        async with serve(gateway, "127.0.0.1", 0) as one:
            port = next(iter(one.sockets)).getsockname()[1]
            async with serve(gateway, "127.0.0.2", port):
                for _ in range(3):
                    heard = Heard()
                    link = dial(port, heard, "gateway.test")
                    await heard.until_news(1)
                    link.abort()
                    await link.closed
        assert met == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]

    uvloop.run(go())
