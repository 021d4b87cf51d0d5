import asyncio
import socket
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from gwsimulator import Simulator
from support.sim_client import RawClient
from support.sim_scene import live, now, play, raw, resumed

GET_BOT = (
    b"GET /api/v10/gateway/bot HTTP/1.1\r\nHost: sim\r\nAuthorization: Bot abc\r\n"
    b"User-Agent: DiscordBot (https://example.com, 1.0)\r\n\r\n"
)


def test_a_resume_host_that_is_down_refuses_tcp_until_it_is_up_again() -> None:
    async def scene(sim: Simulator) -> None:
        for _ in range(2):
            sim.resume_host_down()
            with pytest.raises(ConnectionRefusedError):
                await RawClient(sim.resume_url).__aenter__()
            async with RawClient(sim.gateway_url) as client:
                assert (await client.receive())["op"] == 10
            sim.resume_host_down(False)
            async with RawClient(sim.resume_url) as client:
                assert (await client.receive())["op"] == 10

    play(scene)


def test_a_host_that_is_down_keeps_its_port_from_others() -> None:
    async def scene(sim: Simulator) -> None:
        sim.resume_host_down()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", int(sim.resume_url.rpartition(":")[2])))

    play(scene)


def test_a_host_that_goes_down_keeps_the_connections_it_has() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.host_down("gateway")
            with pytest.raises(ConnectionRefusedError):
                await raw(sim.gateway_url, GET_BOT)
            sim.emit("A", None)
            assert (await client.receive())["t"] == "A"

    play(scene)


def test_a_host_may_go_down_and_up_without_a_pause_and_be_told_twice() -> None:
    async def scene(sim: Simulator) -> None:
        for down in (True, False, True, True, False, False):
            sim.resume_host_down(down)
        async with RawClient(sim.resume_url) as client:
            assert (await client.receive())["op"] == 10
        sim.resume_host_down()

    play(scene)


@pytest.mark.parametrize("ticks", range(6))
def test_a_host_that_has_hardly_come_up_can_go_down(ticks: int) -> None:
    async def scene(sim: Simulator) -> None:
        sim.resume_host_down()
        sim.resume_host_down(False)
        for _ in range(ticks):
            await asyncio.sleep(0)
        sim.resume_host_down()
        with pytest.raises(ConnectionRefusedError):
            await RawClient(sim.resume_url).__aenter__()
        sim.resume_host_down(False)
        async with RawClient(sim.resume_url) as client:
            assert (await client.receive())["op"] == 10

    play(scene)


@pytest.mark.parametrize("ticks", range(6))
def test_a_simulator_can_end_when_it_has_hardly_begun(ticks: int) -> None:
    async def scene(sim: Simulator) -> None:
        for _ in range(ticks):
            await asyncio.sleep(0)

    play(scene)


def test_there_is_no_host_of_another_name() -> None:
    async def scene(sim: Simulator) -> None:
        with pytest.raises(ValueError, match="'elsewhere'; there are gateway, resume"):
            sim.host_down("elsewhere")

    play(scene)


def test_after_a_swap_ready_names_another_resume_host_and_the_old_one_still_listens() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (_, session):
            old = sim.resume_url
            sim.swap_resume_host()
        assert sim.resume_url != old
        async with RawClient(sim.gateway_url) as client:
            assert (await client.identify(1))["d"]["resume_gateway_url"] == sim.resume_url
        for url in (old, sim.resume_url):
            async with RawClient(url) as client:
                await resumed(client, session, 3)
                assert (await client.receive())["t"] == "RESUMED"
        assert [one.host for one in sim.ledger.connections] == ["gateway", "gateway", "resume", "resume-2"]
        assert "wrong_resume_host" not in sim.ledger.rules_broken()

    play(scene)


def test_an_upgrade_can_be_answered_with_any_status_headers_and_body_on_one_host_only() -> None:
    async def scene(sim: Simulator) -> None:
        sim.refuse_upgrades(429, headers={"Retry-After": "7"}, body="slow down", host="resume")
        async with live(sim):
            pass
        with pytest.raises(InvalidStatus) as refused:
            await RawClient(sim.resume_url).__aenter__()
        answer = refused.value.response
        assert (answer.status_code, answer.headers["Retry-After"], answer.body) == (429, "7", b"slow down")
        async with RawClient(sim.resume_url) as client:
            assert (await client.receive())["op"] == 10

    play(scene)


@pytest.mark.parametrize(("status", "header"), [(401, ""), (403, "cf-mitigated"), (502, ""), (520, "")])
def test_refusals_last_as_long_as_wanted(status: int, header: str) -> None:
    async def scene(sim: Simulator) -> None:
        sim.refuse_upgrades(status, headers={header: "challenge"} if header else None, times=None)
        for _ in range(3):
            with pytest.raises(InvalidStatus, match=str(status)):
                await RawClient(sim.gateway_url).__aenter__()
        sim.answer_dials()
        async with live(sim):
            pass

    play(scene)


def test_dials_can_be_reset_while_rest_answers() -> None:
    async def scene(sim: Simulator) -> None:
        sim.reset_dials(host="gateway")
        assert b"session_start_limit" in await raw(sim.gateway_url, GET_BOT)
        with pytest.raises(ConnectionResetError):
            await raw(sim.gateway_url, b"GET /?v=10 HTTP/1.1\r\n\r\n")
        async with live(sim):
            pass

    play(scene)


def test_a_dial_can_hang_for_ever() -> None:
    async def scene(sim: Simulator) -> None:
        sim.hang_dials()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(raw(sim.gateway_url, b"GET /?v=10 HTTP/1.1\r\n\r\n"), 3600)
        async with live(sim):
            pass

    play(scene)


def test_a_simulator_ends_while_a_dial_hangs() -> None:
    async def scene(sim: Simulator) -> None:
        sim.hang_dials()
        dial.connect(("127.0.0.1", int(sim.gateway_url.rpartition(":")[2])))
        dial.sendall(b"GET /?v=10 HTTP/1.1\r\n\r\n")
        await asyncio.sleep(1)

    with socket.socket() as dial:
        play(scene)


def test_an_answer_can_be_no_http() -> None:
    async def scene(sim: Simulator) -> None:
        sim.garble_dials()
        with pytest.raises(InvalidMessage):
            await RawClient(sim.gateway_url).__aenter__()

    play(scene)


def test_silence_after_the_upgrade_concerns_one_host_until_told_otherwise() -> None:
    async def scene(sim: Simulator) -> None:
        sim.silence_dials(host="resume", times=None)
        for _ in range(2):
            async with RawClient(sim.resume_url) as client:
                with pytest.raises(TimeoutError):
                    await client.receive()
            async with RawClient(sim.gateway_url) as client:
                assert (await client.receive())["op"] == 10
        sim.answer_dials(host="resume")
        async with RawClient(sim.resume_url) as client:
            assert (await client.receive())["op"] == 10

    play(scene)


def test_hello_can_be_strange_in_every_way() -> None:
    async def scene(sim: Simulator) -> None:
        usual = {"heartbeat_interval": 41_250}
        strange: list[tuple[Callable[[], None], list[object]]] = [
            (lambda: sim.greet("op7"), [None]),
            (lambda: sim.greet("op9"), [False, usual]),
            (lambda: sim.greet("bad_interval"), [{"heartbeat_interval": 0}]),
            (lambda: sim.greet("negative_interval"), [{"heartbeat_interval": -1}]),
            (lambda: sim.greet("text_interval"), [{"heartbeat_interval": "41250"}]),
            (lambda: sim.greet("no_interval"), [{}]),
            (lambda: sim.greet("second_hello"), [usual, usual]),
            (lambda: sim.greet("pieces"), [usual]),
        ]
        for plan, expected in strange:
            plan()
            async with RawClient(sim.gateway_url, "zlib-stream") as client:
                got = [(await client.receive())["d"] for _ in expected]
                for d in got:
                    if isinstance(d, dict):
                        d.pop("_trace")
                assert got == expected

    play(scene)


def test_hello_can_lack_the_keys_that_say_nothing() -> None:
    async def scene(sim: Simulator) -> None:
        sim.greet("without_keys")
        async with RawClient(sim.gateway_url) as client:
            assert await client.receive() == {"op": 10, "d": {"heartbeat_interval": 41_250}}

    play(scene)


def test_half_a_hello_is_followed_by_nothing() -> None:
    async def scene(sim: Simulator) -> None:
        sim.greet("half")
        request = (
            b"GET /?v=10&encoding=json HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        port = int(sim.gateway_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        first, size = await reader.readexactly(2)
        assert first == 0x81
        assert len(await reader.readexactly(size // 2 - 1)) < size
        sim.send_acks(None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 600)
        writer.close()

    play(scene)


def test_a_connection_can_be_closed_instead_of_greeted_or_after_it() -> None:
    async def scene(sim: Simulator) -> None:
        sim.greet(4000)
        async with RawClient(sim.gateway_url) as client:
            with pytest.raises(ConnectionClosed):
                await client.receive()
            assert await client.close_code() == 4000
        sim.close_on_connect(4001, times=2)
        for _ in range(2):
            async with RawClient(sim.gateway_url) as client:
                assert (await client.receive())["op"] == 10
                assert await client.close_code() == 4001
        sim.close_on_connect("eof", after_s=3.0)
        async with RawClient(sim.gateway_url) as client:
            assert (await client.receive())["op"] == 10
            since = now()
            assert await client.close_code() is None
            assert now() - since == pytest.approx(3.0, abs=0.1)
        async with live(sim):
            pass

    play(scene)
