import asyncio
import json
import logging
import sys
import zlib

import pytest
from websockets.exceptions import ConnectionClosed

from gwsimulator import Simulator
from gwsimulator.faults import Mangle
from support.sim_client import RawClient
from support.sim_scene import live, now, ops, payload, play, resumed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSIONS = [None, "zlib-stream", "zstd-stream"]


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("how", ["corrupt", "truncate", "invalid_utf8"])
def test_a_spoilt_dispatch_can_not_be_read_and_can_be_had_by_a_resume(
    how: Mangle, compress: str | None
) -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, compress) as (client, session):
            sim.mangle(0, how)
            sim.emit("A", {"n": 1})
            with pytest.raises((ValueError, zlib.error, zstd.ZstdError)):
                await client.receive()
        async with RawClient(sim.resume_url) as client:
            await resumed(client, session, 3)
            assert await client.receive() == {"t": "A", "s": 4, "op": 0, "d": {"n": 1}}

    play(scene)


def test_a_dispatch_can_come_as_text_beside_the_compression() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, "zlib-stream") as (client, _):
            sim.mangle(0, "text")
            sim.emit("A", 1)
            sim.emit("B", 2)
            assert json.loads(await client.ws.recv(decode=True)) == {"t": "A", "s": 4, "op": 0, "d": 1}
            assert await client.receive() == {"t": "B", "s": 5, "op": 0, "d": 2}

    play(scene)


def test_a_compressions_stream_can_end_and_begin_anew() -> None:
    async def scene(sim: Simulator) -> None:
        for compress in ("zlib-stream", "zstd-stream"):
            async with RawClient(sim.gateway_url, compress) as client:
                inflate = zlib.decompressobj() if compress == "zlib-stream" else zstd.ZstdDecompressor()
                inflate.decompress(await client.ws.recv(decode=False))
                sim.mangle(None, "end_stream")
                await client.send(2, {"token": "a", "intents": 0, "shard": [0, 2], "properties": {}})
                ready = json.loads(inflate.decompress(await client.ws.recv(decode=False)))
                assert ready["t"] == "READY"
                assert inflate.eof
                sim.emit("A", 1)
                inflate = zlib.decompressobj() if compress == "zlib-stream" else zstd.ZstdDecompressor()
                assert json.loads(inflate.decompress(await client.ws.recv(decode=False)))["t"] == "A"

    play(scene)


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_anything_can_be_sent_within_the_compression_or_beside_it(compress: str | None) -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, compress) as (client, _):
            sim.send_raw(0, '{"op":')
            assert await client.payload() == b'{"op":'
            sim.send_raw(0, "{}", text=True)
            assert await client.ws.recv() == "{}"
            sim.send_raw(0, b"\xff", text=False)
            assert await client.ws.recv() == b"\xff"
            sim.send_op(0, 99, {"new": True})
            assert await client.receive() == payload(99, {"new": True})
            sim.send_hello(0)
            assert (await client.receive())["d"]["heartbeat_interval"] == 41_250
            sim.send_hello(0, 100)
            assert (await client.receive())["d"]["heartbeat_interval"] == 100

    play(scene)


def test_frames_of_any_kind_can_be_sent() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.send_frames(0, b"\x01\x01{" + b"\x80\x01}")
            assert await client.receive() == {}
            sim.send_frames(0, b"\xff\xff\xff")
            with pytest.raises(ConnectionClosed) as closed:
                await client.receive()
            assert closed.value.sent is not None
            assert closed.value.sent.code == 1002

    play(scene)


def test_several_dispatches_can_come_in_one_message() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, "zlib-stream") as (client, _):
            sim.emit_glued(("A", 1), ("B", 2))
            assert await client.payload() == b'{"t":"A","s":4,"op":0,"d":1}{"t":"B","s":5,"op":0,"d":2}'

    play(scene)


@pytest.mark.parametrize("compress", ["zlib-stream", "zstd-stream"])
def test_a_bomb_is_small_on_the_wire_and_large_within(compress: str) -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim, compress) as (client, _):
            sim.bomb(0, 16 << 20)
            bomb = await client.ws.recv(decode=False)
            assert len(bomb) < 200_000
            message = json.loads(client._inflate.decompress(bomb))
            assert (message["op"], len(message["d"])) == (99, 16 << 20)
            sim.emit("A", 1)
            assert (await client.receive())["t"] == "A"

    play(scene)


def test_a_bomb_is_for_compressed_connections_only() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.bomb(0)
            sim.emit("A", 1)
            assert (await client.receive())["t"] == "A"

    play(scene)


def test_pings_are_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "websockets.client")

    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.ping(0, times=3)
            sim.emit("A", 1)
            assert (await client.receive())["t"] == "A"

    play(scene)
    assert sum("< PING" in record.getMessage() for record in caplog.records) == 3


def test_a_connection_can_drip() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.drip(0, 10)
            since = now()
            sim.emit("A", None)
            assert (await client.receive())["t"] == "A"
            assert now() - since == pytest.approx(len(b'XX{"t":"A","s":4,"op":0,"d":null}') / 10, abs=0.3)
            sim.drip(0, None)
            since = now()
            sim.emit("A", None)
            assert (await client.receive())["t"] == "A"
            assert now() - since < 0.2

    play(scene)


def test_a_connection_that_only_stops_writing_still_hears_its_beats() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.stall(0, reads=False)
            await client.send(1, 3)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.ws.recv(), 30)
            assert len(sim.ledger.beats) == 1
            sim.stall(0, False)
            assert await ops(client, 1) == [11]

    play(scene)


def test_a_connection_that_only_stops_reading_still_says_what_happens() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.stall(0, writes=False)
            await client.send(1, 3)
            sim.emit("A", None)
            assert await ops(client, 1) == [0]
            await asyncio.sleep(600)
            assert sim.ledger.beats == []
            sim.stall(0, False)
            assert await ops(client, 1) == [11]

    play(scene)


def test_a_stall_can_end_by_itself() -> None:
    async def scene(sim: Simulator) -> None:
        async with live(sim) as (client, _):
            sim.stall(0, for_s=20)
            sim.emit("A", None)
            since = now()
            assert (await asyncio.wait_for(client.ws.recv(), 60)).startswith('{"t":"A"')  # type: ignore[arg-type]
            assert now() - since == pytest.approx(20.0, abs=0.1)

    play(scene)


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_a_client_reads_the_same_whether_or_not_messages_come_in_fragments(
    compress: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "websockets.client")

    async def scene(sim: Simulator) -> None:
        async with live(sim, compress) as (client, session):
            sim.emit_random(0, 100)
            expected = [record.payload for record in sim.ledger.dispatches(session=session)][3:]
            assert [await client.payload() for _ in expected] == expected

    play(scene, fragment=True, split_zlib=True)
    for sign in ("< CONT", "< PING"):
        assert any(sign in record.getMessage() for record in caplog.records)
