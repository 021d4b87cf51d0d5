"""F31 and F32: connections that end without a word, or don't end and are dead; and how we leave ours.

https://docs.discord.com/developers/events/gateway#disconnecting and #initiating-a-disconnect
"""

from __future__ import annotations

import asyncio
import random
import ssl
from pathlib import Path
from typing import Literal

import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve

from gwsimulator import virtual_time
from gwworker.gateway_link import GatewayLink
from support.link_rig import AGENT, Heard, raw_linked, upgraded
from support.scene import Scene, stage

INTERVAL_S = 41.25
Ending = Literal["abort", "eof"]
BOTH = pytest.mark.parametrize("how", ["abort", "eof"])
EACH = pytest.mark.parametrize("compression", ["zstd-stream", "zlib-stream", "none"])


def emit(scene: Scene, count: int) -> None:
    for number in range(count):
        scene.sim.emit("TYPING_START", {"user_id": str(number)})


def end(scene: Scene, how: Ending) -> None:
    scene.sim.abort(0) if how == "abort" else scene.sim.eof(0)


# Ends without a close frame


@pytest.mark.parametrize("trims", [False, True])
@BOTH
@EACH
def test_f31_an_end_without_a_close_frame_is_resumed_within_a_second(
    tmp_path: Path, how: Ending, compression: str, trims: bool
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 20)
        await scene.settled()
        scene.sim.op1(0)
        emit(scene, 1)
        await scene.settled()
        at = scene.loop.time()
        end(scene, how)
        emit(scene, 5)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert resume.at - at <= 1.01
        assert (resume.host, resume.seq, resume.outcome) == ("resume", 24, "resumed")
        assert scene.seqs() == list(range(1, 31))
        assert [one.code for one in scene.sim.ledger.closes] == [None]
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, config={"gateway": {"compression": compression}}, heartbeat_trims=trims)


@BOTH
def test_f31_an_end_in_the_middle_of_a_frame_loses_that_frame_only(tmp_path: Path, how: Ending) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        emit(scene, 2)
        scene.sim.send_frames(0, b"\x82\x7e\x10\x00" + b"x" * 100)
        await scene.settled()
        end(scene, how)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert (resume.seq, resume.outcome) == (5, "resumed")
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)


@BOTH
def test_f31_an_end_between_hello_and_ready_costs_one_identify_and_its_window(
    tmp_path: Path, how: Ending
) -> None:
    async def play(scene: Scene) -> None:
        await scene.start()
        await scene.until(lambda: scene.sim.ledger.identifies)
        end(scene, how)
        await scene.live()
        first, second = scene.sim.ledger.identifies
        assert second.at - first.at >= 5.0
        await scene.run_for(60.0)
        assert len(scene.sim.ledger.identifies) == 2
        assert scene.sim.ledger.resumes == []

    stage(tmp_path, play, start=False, ready_delay_s=1.0)


@BOTH
def test_f31_an_end_between_hello_and_identify_costs_nothing(tmp_path: Path, how: Ending) -> None:
    async def play(scene: Scene) -> None:
        await scene.start()
        await scene.live(0)
        await scene.run_for(1.0)
        scene.sim.close_on_connect(how)
        scene.sim.abort(None)  # shard 1 waits for its permit, and now comes again
        await scene.live()
        first, second = scene.sim.ledger.identifies
        assert second.at - first.at >= 5.0
        assert len(scene.sim.ledger.connections) == 5, "one ended twice without having asked for anything"

    stage(tmp_path, play, start=False, shards=2)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("in_a_message", [False, True])
def test_f31_a_tls_stream_that_ends_without_close_notify_is_an_end_without_a_code(
    authority: trustme.CA, in_a_message: bool
) -> None:
    client, tls = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(client)
    authority.issue_cert("localhost").configure_cert(tls)

    async def gateway(peer: ServerConnection) -> None:
        await peer.send("hello")
        if in_a_message:
            peer.transport.write(b"\x81\x7e\x10\x00half of it")
        await asyncio.sleep(0.05)
        peer.transport.abort()

    async def main() -> None:
        async with serve(gateway, "127.0.0.1", 0, ssl=tls, close_timeout=1.0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            heard = Heard()
            link = GatewayLink(f"wss://localhost:{port}/", tls=client, listener=heard, user_agent=AGENT)
            await heard.until_news(2)
            assert heard.news == [("opened",), ("lost", None)]
            assert heard.messages == [(True, b"hello")]
            await link.closed

    asyncio.run(main())


# Connections that are dead and don't end


class Half(random.Random):
    """Dice that show the same each time: first beats come in the middle of an interval."""

    def random(self) -> float:
        return 0.5


@EACH
def test_f32_a_half_open_connection_is_dropped_an_interval_after_its_beat_without_another_word(
    tmp_path: Path, compression: str
) -> None:
    async def play(scene: Scene) -> None:
        scene.dice = Half()
        await scene.start()
        await scene.live()
        (hello,) = scene.sim.ledger.hellos
        emit(scene, 10)
        await scene.settled()
        scene.sim.stall(0)
        emit(scene, 10)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        beat_s, redial_s = 0.5 * INTERVAL_S, 0.5
        found_out_s = beat_s + INTERVAL_S
        assert resume.at - hello.at == pytest.approx(found_out_s + redial_s, abs=0.1), "no closing handshake"
        assert "zombie" in scene.story("WARNING")
        assert (resume.seq, resume.outcome) == (13, "resumed")
        assert scene.seqs() == list(range(1, 25))
        assert len(scene.sim.ledger.identifies) == 1
        assert len(scene.sim.ledger.connections) == 2

    stage(tmp_path, play, start=False, config={"gateway": {"compression": compression}})


@pytest.mark.parametrize("takeover_code", [4000, None])
def test_f32_a_gateway_that_hears_everything_and_says_nothing_is_left_as_well(
    tmp_path: Path, takeover_code: int | None
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        at = scene.loop.time()
        scene.sim.stall(0, reads=False)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert resume.at - at <= 2 * INTERVAL_S + 1.1
        beats = [one.at for one in scene.sim.ledger.beats]
        assert resume.at - beats[0] == pytest.approx(INTERVAL_S, abs=1.1), "from its sending, one interval"
        assert len(beats) == 1, "no second beat instead of a verdict"
        assert scene.sim.ledger.closes[0].code is None, "dropped, not closed"
        assert resume.outcome == "resumed"
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, takeover_code=takeover_code)


def test_f32_a_gateway_that_hears_nothing_and_goes_on_talking_is_left_after_two_intervals(
    tmp_path: Path,
) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        at = scene.loop.time()
        scene.sim.stall(0, writes=False)
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes, within_s=200.0)
        await scene.live()
        assert 2 * INTERVAL_S <= resume.at - at <= 3 * INTERVAL_S + 1.1
        assert resume.outcome == "resumed"
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play, rate=0.5, late_beat_code=None)


def test_f32_a_pause_that_is_over_before_the_verdict_is_no_reason_to_leave(tmp_path: Path) -> None:
    async def play(scene: Scene) -> None:
        await scene.live()
        await scene.until(lambda: scene.sim.ledger.beats)
        await scene.run_for(INTERVAL_S - 5.0)
        scene.sim.stall(0, for_s=30.0)
        emit(scene, 3)
        await scene.run_for(200.0)
        assert len(scene.sim.ledger.connections) == 1
        assert scene.seqs() == [1, 2, 3, 4, 5, 6]

    stage(tmp_path, play)


def test_f32_a_link_sends_no_pings_of_its_own_and_waits_for_none() -> None:
    # A library that pings every 20 s closes with 1011 when the answer is late; heartbeats do that better.
    async def main() -> None:
        sent: list[bytes] = []

        async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgraded(reader))
            while data := await reader.read(1000):
                sent.append(data)

        async with raw_linked(gateway) as (_, heard):
            await heard.until_news(1)
            await asyncio.sleep(3600.0)
            assert heard.news == [("opened",)]
            assert sent == []

    virtual_time.run(main())


# How we leave


@pytest.mark.parametrize(
    ("leave", "code"),
    [("stop", 4900), ("kill", None), ("drain a worker", 4900), ("kill a worker", None)],
)
def test_f31_every_way_in_which_we_leave_keeps_the_session(
    tmp_path: Path, leave: str, code: int | None
) -> None:
    # "any close code besides 1000 or 1001": a close that nobody named a code for is often one of those.
    async def play(scene: Scene) -> None:
        await scene.live()
        match leave:
            case "stop":
                await scene.stop()
                await scene.start()
            case "kill":
                await scene.kill()
                await scene.start()
            case "drain a worker":
                scene.worker(0).drain()
            case _:
                scene.worker(0).kill()
        (resume,) = await scene.until(lambda: scene.sim.ledger.resumes)
        await scene.live()
        assert [(one.by, one.code) for one in scene.sim.ledger.closes] == [("client", code)]
        assert (resume.seq, resume.outcome) == (3, "resumed")
        assert len(scene.sim.ledger.identifies) == 1

    stage(tmp_path, play)
