from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from gwsimulator import Simulator, rest
from gwsimulator.answer_controls import AnswerControls
from gwsimulator.orders import Order
from support.sim_client import RawClient
from support.sim_rig import Rig
from support.sim_scene import live, now, ops, play, resumed


def test_acks_can_be_late() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.delay_acks(0, 2.5)
            since = now()
            await client.send(1, 3)
            assert (await client.receive())["op"] == 11
            assert now() - since == pytest.approx(2.5, abs=0.1)
            sim.delay_acks(0, 0)
            since = now()
            await client.send(1, 3)
            assert (await client.receive())["op"] == 11
            assert now() - since < 0.1

    play(scene)


def test_acks_can_lack_the_keys_that_say_nothing() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.bare_acks(0)
            await client.send(1, 3)
            assert await client.receive() == {"op": 11}
            sim.bare_acks(0, False)
            await client.send(1, 3)
            assert await client.receive() == {"t": None, "s": None, "op": 11, "d": None}

    play(scene)


def test_acks_come_unasked() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.send_acks(0, 50)
            assert await ops(client, 50) == [11] * 50

    play(scene)


def test_acks_of_all_shards_are_dropped_and_given_again_together() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (first, _), live(sim, shard=1) as (second, _):
            sim.drop_acks(1)
            sim.drop_acks(None)
            for client in (first, second):
                await client.send(1, 3)
            sim.op1(None, times=2)
            for client in (first, second):
                assert await ops(client, 2) == [1, 1]
            sim.drop_acks(None, False)
            for client in (first, second):
                await client.send(1, 3)
                assert await ops(client, 1) == [11]

    play(scene)


def test_identifies_of_one_shard_can_be_refused_for_ever_and_late() -> None:
    async def scene(sim: Simulator) -> None:
        sim.refuse_identify("op9", shard=1, times=None, delay_s=3.0)
        async with live(sim):
            pass
        for _ in range(3):
            async with RawClient(sim.gateway_url) as client:
                since = now()
                assert await client.identify(1) == {"t": None, "s": None, "op": 9, "d": False}
                assert now() - since == pytest.approx(3.0, abs=0.1)
        sim.accept(shard=1)
        async with live(sim, shard=1):
            pass

    play(scene)


def test_a_resume_can_be_refused() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (_, session):
            sim.refuse_resume(4007, shard=0)
        async with RawClient(sim.resume_url) as client:
            await resumed(client, session, 3)
            assert await client.close_code() == 4007

    play(scene)


@pytest.mark.parametrize(
    ("what", "last", "code"), [("op7", 7, 1001), ("op9", 9, ...), ("abort", None, None), (4000, None, 4000)]
)
def test_a_replay_can_be_broken_off_after_some_dispatches(
    what: object, last: int | None, code: object
) -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, "zlib-stream") as (_, session):
            pass
        for n in range(10):
            sim.emit("A", n)
        sim.during_replay(0, after=4, what=what)  # type: ignore[arg-type]
        async with RawClient(sim.resume_url, "zlib-stream") as client:
            await resumed(client, session, 3)
            assert [(await client.receive())["s"] for _ in range(4)] == [4, 5, 6, 7]
            sim.emit("A", 10)
            if last is not None:
                assert (await client.receive())["op"] == last
            if code is not ...:
                with pytest.raises(ConnectionClosed):  # and not the event after the replay
                    await client.receive()
                assert await client.close_code() == code
        async with RawClient(sim.resume_url, "zlib-stream") as client:
            await resumed(client, session, 7)
            if what == "op9":
                assert (await client.receive())["op"] == 9
            else:
                got = [await client.receive() for _ in range(8)]
                assert [one["s"] for one in got] == list(range(8, 16))
                assert got[-1]["t"] == "RESUMED"

    play(scene)


def test_a_replay_can_end_in_an_end_of_file() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (_, session):
            pass
        sim.emit("A", None)
        sim.during_replay(0, after=1, what="eof")
        async with RawClient(sim.resume_url) as client:
            await resumed(client, session, 3)
            assert (await client.receive())["s"] == 4
            with pytest.raises(ConnectionClosed) as closed:
                await client.receive()
            assert closed.value.rcvd is None
            assert not isinstance(closed.value.__cause__, ConnectionResetError)

    play(scene)


def test_a_replay_can_begin_with_what_the_client_has() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (_, session):
            sim.emit("A", None)
        sim.overlap_replay(0, 2)
        for expected in ([3, 4, 5], [5, 6]):
            async with RawClient(sim.resume_url) as client:
                await resumed(client, session, 4)
                got = [await client.receive() for _ in expected]
                assert [one["s"] for one in got] == expected
                assert got[-1]["t"] == "RESUMED"

    play(scene)


def test_connections_can_be_dropped_so_long_after_ready_or_resumed() -> None:
    async def scene(sim: Simulator) -> None:
        sim.close_after(2.0, 4000)
        async with live(sim) as (client, session):
            since = now()
            assert await client.close_code() == 4000
            assert now() - since == pytest.approx(2.0, abs=0.1)
        async with RawClient(sim.resume_url) as client:
            await resumed(client, session, 3)
            assert (await client.receive())["t"] == "RESUMED"
            since = now()
            assert await client.close_code() == 4000
            assert now() - since == pytest.approx(2.0, abs=0.1)
        sim.accept()
        sim.close_after(0, "abort", shard=1)
        async with live(sim) as (client, _):
            await client.send(1, 3)
            assert await ops(client, 1) == [11]
        async with live(sim, shard=1) as (client, _):
            assert await client.close_code() is None

    play(scene)


def test_gateway_bot_can_say_something_else() -> None:
    rig = Rig()

    class InRig(AnswerControls):
        def order(self, order: Order) -> None:
            order(rig.gateway, rig.now)

    def told() -> dict[str, Any]:
        return rest.gateway_bot(rig.gateway, "ws://gateway.test", rig.now)

    truth, controls = told(), InRig()
    controls.gateway_bot(shards=0, max_concurrency=..., remaining=3, url="ws://elsewhere.test/")
    limit = {"total": 1000, "remaining": 3, "reset_after": truth["session_start_limit"]["reset_after"]}
    assert told() == {"url": "ws://elsewhere.test/", "shards": 0, "session_start_limit": limit}
    controls.gateway_bot(session_start_limit=...)
    assert told() == {"url": "ws://elsewhere.test/", "shards": 0}
    controls.answer_rest()
    assert told() == truth


def test_a_rest_fault_can_last_until_it_is_taken_back() -> None:
    rig = Rig()
    bot = {"Authorization": "Bot abc", "User-Agent": "DiscordBot (https://example.com, 1.0)"}

    def status() -> int:
        return rest.answer(rig.gateway, "/api/v10/gateway/bot", bot, "ws://gateway.test", rig.now).status

    class InRig(AnswerControls):
        def order(self, order: Order) -> None:
            order(rig.gateway, rig.now)

    controls = InRig()
    controls.rest_fault(status=500, times=None)
    assert [status() for _ in range(5)] == [500] * 5
    controls.answer_rest()
    assert status() == 200
