import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gwsimulator import Settings, Simulator
from support.sim_client import RawClient, get


def run(scene: Callable[[Simulator], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def main() -> None:
        defaults: dict[str, Any] = {"shards": 2, "guilds": 4, "identify_window_s": 0.0}
        async with Simulator(Settings(**{**defaults, **settings})) as sim:
            await scene(sim)

    asyncio.run(main())


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def live(sim: Simulator, compress: str | None = None) -> AsyncIterator[tuple[RawClient, str]]:
    """Give a client of shard 0 that has its READY and its two guilds."""
    async with RawClient(sim.gateway_url, compress) as client:
        ready = await client.identify()
        for _ in range(2):
            assert (await client.receive())["t"] == "GUILD_CREATE"
        yield client, ready["d"]["session_id"]


@pytest.mark.parametrize("compress", [None, "zlib-stream", "zstd-stream"])
@pytest.mark.parametrize("split", [False, True])
def test_what_a_client_reads_is_byte_for_byte_what_the_ledger_has(compress: str | None, split: bool) -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, compress) as (client, session):
            sim.emit_random(0, 100)
            expected = [record.payload for record in sim.ledger.dispatches(session=session)][3:]
            assert len(expected) > 20
            assert [await client.payload() for _ in expected] == expected

    run(scene, split_zlib=split)


def test_the_ledger_tells_from_where_each_connection_came() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim):
            (connection,) = sim.ledger.connections
            assert connection.origin == "127.0.0.1"
            assert 0 < int(connection.peer.removeprefix("127.0.0.1:")) < 65_536

    run(scene)


def test_rest_and_gateway_share_a_port_and_the_resume_gateway_has_its_own() -> None:
    async def scene(sim: Simulator) -> None:
        status, body = await asyncio.to_thread(get, f"{sim.api}/gateway/bot")
        assert (status, body["url"]) == (200, sim.gateway_url)
        assert sim.api.removeprefix("http://").startswith(sim.gateway_url.removeprefix("ws://"))
        assert sim.resume_url not in (sim.gateway_url, "")
        async with live(sim):
            assert sim.ledger.connections[0].host == "gateway"
        async with RawClient(sim.resume_url) as client:
            await client.receive()
            assert sim.ledger.connections[1].host == "resume"

    run(scene)


def test_a_session_lost_and_resumed_misses_nothing() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, "zlib-stream") as (_, session):
            sim.abort(0)
        sim.emit("A", {"n": 1})
        async with RawClient(sim.resume_url, "zlib-stream") as client:
            await client.receive()
            await client.send(6, {"token": "abc", "session_id": session, "seq": 3})
            assert [(await client.receive())["t"] for _ in range(2)] == ["A", "RESUMED"]
            sim.emit("B", {"n": 2})
            assert await client.receive() == {"t": "B", "s": 6, "op": 0, "d": {"n": 2}}
        assert sim.ledger.violations == []

    run(scene)


def test_each_way_of_ending_a_connection_looks_like_itself() -> None:
    async def scene(sim: Simulator) -> None:
        ends: list[tuple[Callable[[], None], int | None]] = [
            (lambda: sim.close(0, 4000), 4000),
            (lambda: sim.close(0, 4014), 4014),
            (lambda: sim.abort(0), None),
        ]
        for end, code in ends:
            async with live(sim) as (client, _):
                end()
                assert await client.close_code() == code

    run(scene)


def test_an_abort_is_a_tcp_reset() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.abort(0)
            with pytest.raises(ConnectionClosed) as closed:
                await client.receive()
            assert isinstance(closed.value.__cause__, ConnectionResetError)

    run(scene)


def test_the_close_after_op_7_comes_before_timers_that_were_set_earlier() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.op7(0)
            assert (await client.receive())["op"] == 7
            assert await client.close_code() == 1001

    run(scene, reconnect_close_after_s=0.05)


def test_a_clients_close_code_reaches_the_ledger() -> None:
    async def scene(sim: Simulator) -> None:
        for code in (1000, 3000):
            async with live(sim) as (client, _):
                await client.ws.close(code)
        async with live(sim) as (client, _):
            client.ws.transport.abort()
            await until(lambda: len(sim.ledger.closes) == 3)
        assert [(close.by, close.code) for close in sim.ledger.closes] == [
            ("client", 1000),
            ("client", 3000),
            ("client", None),
        ]

    run(scene)


def test_a_dropped_ack_a_request_for_a_beat_and_op_9_arrive() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.drop_acks(0)
            await client.send(1, 3)
            await until(lambda: sim.ledger.beats)
            sim.drop_acks(0, dropped=False)
            sim.op1(0)
            assert (await client.receive())["op"] == 1
            sim.op9(0, resumable=True)
            assert await client.receive() == {"t": None, "s": None, "op": 9, "d": True}

    run(scene)


def test_a_stalled_connection_says_nothing_until_it_goes_on() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.stall(0)
            sim.emit("A", None)
            await client.send(1, 3)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.ws.recv(), 0.1)
            sim.stall(0, stalled=False)
            assert [(await client.receive())["op"] for _ in range(2)] == [0, 11]

    run(scene)


def test_a_session_is_resumed_away_from_a_stalled_connection() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (stalled, session):
            sim.stall(0)
            sim.emit("A", None)
            async with RawClient(sim.resume_url) as client:
                await client.receive()
                await client.send(6, {"token": "abc", "session_id": session, "seq": 3})
                assert [(await client.receive())["t"] for _ in range(2)] == ["A", "RESUMED"]
                assert await stalled.close_code() is None
        assert sim.ledger.violations == []

    run(scene)


def test_a_client_that_misses_its_heartbeat_is_closed() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            assert await client.close_code() == 4009
        assert sim.ledger.rules_broken() == {"late_heartbeat"}

    run(scene, heartbeat_interval_ms=50, heartbeat_grace_s=0.0, late_beat_code=4009)


def test_a_fragmented_message_and_a_ping_are_taken() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            await asyncio.wait_for(await client.ws.ping(), 1)
            await client.ws.send(['{"op":', '1,"d":', "3}"])
            assert (await client.receive())["op"] == 11

    run(scene)


def test_an_upgrade_can_be_refused() -> None:
    async def scene(sim: Simulator) -> None:
        sim.refuse_upgrades(503)
        with pytest.raises(InvalidStatus, match="503"):
            async with RawClient(sim.gateway_url):
                pass
        async with live(sim):
            pass

    run(scene)


def test_a_broken_message_is_one_that_the_client_can_not_read() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, "zlib-stream") as (client, _):
            sim.mangle(0, "corrupt")
            sim.emit("A", None)
            with pytest.raises(Exception, match="invalid block type"):
                await client.receive()

    run(scene)


def test_rest_can_be_made_to_fail_in_every_way() -> None:
    async def scene(sim: Simulator) -> None:
        sim.rest_fault(status=429, headers={"Retry-After": "7"}, body="{}", times=2)
        sim.rest_fault(status=0)
        url = f"{sim.api}/gateway/bot"
        assert [(await asyncio.to_thread(get, url))[0] for _ in range(2)] == [429, 429]
        with pytest.raises(OSError):
            await asyncio.to_thread(get, url)
        assert (await asyncio.to_thread(get, url))[0] == 200
        assert [call.status for call in sim.ledger.rest_calls] == [429, 429, 0, 200]

    run(scene)


def test_events_flow_at_their_rate_also_while_nobody_listens() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (_, session):
            await asyncio.sleep(0.3)
            assert 20 <= len(sim.ledger.dispatches(session=session)) <= 100
            sim.abort(0)
            seen = len(sim.ledger.dispatches(session=session))
            await until(lambda: len(sim.ledger.dispatches(session=session)) > seen + 5)

    run(scene, rate=200.0)


def test_a_flood_keeps_its_order_and_loses_nothing() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, "zstd-stream") as (client, session):
            sim.emit_random(0, 3000)
            last = sim.ledger.dispatches(session=session)[-1].seq
            assert [(await client.receive())["s"] for _ in range(3, last)] == list(range(4, last + 1))

    run(scene)


def test_bytes_are_sent_as_they_are() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.emit("A", b'{ "s" : 7,"big":9007199254740993 }')
            assert (
                await client.payload()
            ) == b'{"t":"A","s":4,"op":0,"d":{ "s" : 7,"big":9007199254740993 }}'

    run(scene)


def test_a_port_that_is_taken_is_an_os_error() -> None:
    async def scene(sim: Simulator) -> None:
        port = int(sim.gateway_url.rpartition(":")[2])
        with pytest.raises(OSError):
            async with Simulator(Settings(port=port)):
                pass

    run(scene)


def test_undecodable_input_is_4002() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            await client.ws.send(json.dumps("no object"))
            assert await client.close_code() == 4002

    run(scene)
