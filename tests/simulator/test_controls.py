import pytest
from websockets.exceptions import ConnectionClosed

from gwsimulator import Simulator
from support.sim_client import RawClient
from support.sim_scene import live, now, ops, payload, play, resumed


def test_a_burst_of_requests_for_a_beat_also_before_ready() -> None:
    async def scene(sim: Simulator) -> None:
        async with RawClient(sim.gateway_url) as client:
            assert (await client.receive())["op"] == 10
            await client.send(2, {"token": "a", "intents": 0, "shard": [0, 2], "properties": {}})
            await client.send(1, None)
            assert await ops(client, 1) == [11]
            sim.op1(0, times=5)
            assert await ops(client, 5) == [1] * 5
            assert (await client.receive())["t"] == "READY"

    play(scene, ready_delay_s=2.0)


def test_op_9_can_say_anything_or_nothing() -> None:
    async def scene(sim: Simulator) -> None:
        for d in (None, "x"):
            async with live(sim) as (client, _):
                sim.op9(0, d=d)
                assert await client.receive() == payload(9, d)
        async with live(sim) as (client, session):
            sim.op9(0, without_d=True)
            assert await client.receive() == {"t": None, "s": None, "op": 9}
        async with RawClient(sim.resume_url) as client:
            await resumed(client, session, 3)
            assert await client.receive() == payload(9, False)

    play(scene)


def test_op_9_can_be_late() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            since = now()
            sim.op9(0, resumable=True, delay_s=3.0)
            assert await client.receive() == payload(9, True)
            assert now() - since == pytest.approx(3.0, abs=0.1)

    play(scene)


def test_a_late_op_9_finds_nobody_when_the_connection_is_gone() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (_, session):
            sim.op9(0, delay_s=3.0)
        async with RawClient(sim.resume_url) as client:
            await resumed(client, session, 3)
            assert (await client.receive())["t"] == "RESUMED"

    play(scene)


def test_an_end_of_file_comes_after_what_was_said() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.emit("A", None)
            sim.eof(0)
            assert (await client.receive())["t"] == "A"
            with pytest.raises(ConnectionClosed) as closed:
                await client.receive()
            assert closed.value.rcvd is None
            assert not isinstance(closed.value.__cause__, ConnectionResetError)

    play(scene)


def test_all_connections_can_be_addressed_at_once_also_those_without_a_shard() -> None:
    async def scene(sim: Simulator) -> None:
        async with (
            live(sim) as (first, _),
            live(sim, shard=1) as (second, _),
            RawClient(sim.gateway_url) as third,
        ):
            await third.receive()
            sim.close(None, 4000)
            for client in (first, second, third):
                assert await client.close_code() == 4000

    play(scene)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 5000])
def test_a_close_code_that_no_frame_can_carry_is_refused(code: int) -> None:
    async def scene(sim: Simulator) -> None:
        with pytest.raises(ValueError, match="no close code that can be sent"):
            sim.close(0, code)

    play(scene)
