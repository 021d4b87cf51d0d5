"""Each bound that docs/wire.md names, at it and one past it, and each error code, over a real socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
import zmq.asyncio

from gwcluster.log import Reader
from gwcluster.requests.replay import Replays
from gwcluster.wire.control import CommandDone
from support.desk_rig import Rig, answer, asked, code, opened, request, until
from support.shard_log import BIG, open_log, put

DOC = (Path(__file__).parents[3] / "docs" / "wire.md").read_text("utf-8")


def of_bytes(size: int) -> bytes:
    """Return a good request of exactly so many bytes."""
    short = len(request(x="x" * 40_000))
    return request(x="x" * (40_000 + size - short))


def nested(depth: int) -> Any:
    thing: Any = 1
    for _ in range(depth):
        thing = [thing]
    return thing


def pairs(count: int) -> dict[str, int]:
    return {f"{at}": 0 for at in range(count)}


def envelope(frames: int, size: int) -> list[bytes]:
    return [b""] * (frames - 1) + [bytes(size)]


def replay(**fields: Any) -> list[bytes]:
    return [request("replay", shard=0, **fields)]


BOUNDS: list[tuple[str, list[bytes], list[bytes]]] = [
    ("of 65537 bytes; at most 65536", [of_bytes(65_536)], [of_bytes(65_537)]),
    ("1025 exceeds max_array_len(1024)", [request(x=[0] * 1024)], [request(x=[0] * 1025)]),
    ("1025 exceeds max_map_len(1024)", [request(x=pairs(1024))], [request(x=pairs(1025))]),
    ("nested deeper than 32", [request(x=nested(31))], [request(x=nested(32))]),
    ("9 frames of 0 bytes before", [*envelope(8, 0), request()], [*envelope(9, 0), request()]),
    ("8 frames of 2049 bytes before", [*envelope(8, 2048), request()], [*envelope(8, 2049), request()]),
    ("id has 1025 bytes", [request(id="x" * 1021)], [request(id="x" * 1022)]),
    ("after is -2", replay(after=-1), replay(after=-2)),
    ("at most 256 event names", replay(names=["X"] * 256), replay(names=["X"] * 257)),
    ("at most 100 characters", replay(names=["X" * 100]), replay(names=["X" * 101])),
    ("limit is 1001", replay(limit=1000), replay(limit=1001)),
    ("limit is -1", replay(limit=0), replay(limit=-1)),
    ("max_bytes is 1048577", replay(max_bytes=1_048_576), replay(max_bytes=1_048_577)),
    ("max_bytes is 0", replay(max_bytes=1), replay(max_bytes=0)),
]


@pytest.mark.parametrize(("said", "at_it", "past_it"), BOUNDS, ids=[bound[0] for bound in BOUNDS])
def test_what_is_at_a_bound_is_done_and_what_is_one_past_it_is_refused(
    tmp_path: Path, said: str, at_it: list[bytes], past_it: list[bytes]
) -> None:
    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            client = rig.client()
            await client.send_multipart(at_it)
            *before, body = await received(client)
            assert msgpack.unpackb(body)["ok"] is True
            assert before == at_it[:-1]
            await client.send_multipart(past_it)
            *_, body = await received(client)
            assert code(msgpack.unpackb(body)) == "bad_request"
            assert said in msgpack.unpackb(body)["error"]["message"]

    asyncio.run(scenario())


async def received(client: zmq.asyncio.Socket) -> list[bytes]:
    async with asyncio.timeout(10.0):
        return await client.recv_multipart()


def test_a_frame_of_256_kib_is_answered_and_one_byte_more_costs_the_connection(tmp_path: Path) -> None:
    def check(address: str) -> None:
        with zmq.Context() as context, context.socket(zmq.DEALER) as client:
            client.linger = 0
            client.connect(address)
            client.send(bytes(262_144))
            assert client.poll(10_000)
            assert code(msgpack.unpackb(client.recv())) == "bad_request"
            with client.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
                client.send(bytes(262_145))
                assert monitor.poll(10_000), "it is still connected"
                client.disable_monitor()
            assert not client.poll(50)

    async def scenario() -> None:
        async with opened(tmp_path) as rig:
            await asyncio.to_thread(check, rig.address)

    asyncio.run(scenario())


def test_a_page_has_at_most_1000_events_and_a_mebibyte_of_frames(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    many, large = open_log(logs / "0"), open_log(logs / "1")
    put(many, *["X"] * 1500)
    put(large, *["X"] * 15, payload=BIG)

    async def scenario() -> None:
        async with opened(tmp_path, lambda: Replays(lambda shard: Reader(logs / str(shard)))) as rig:
            client = rig.client()
            found = await asked(client, "replay", shard=0)
            assert (len(found["events"]), found["last"], found["more"]) == (1000, 999, True)
            found = await asked(client, "replay", shard=1)
            assert len(found["events"]) == 10
            sizes = [sum(map(len, frames)) for frames in found["events"]]
            assert sum(sizes) <= 1 << 20 < sum(sizes) + sizes[0]
            found = await asked(client, "replay", shard=1, max_bytes=sum(sizes[:2]))
            assert len(found["events"]) == 2
            found = await asked(client, "replay", shard=1, max_bytes=sum(sizes[:2]) - 1)
            assert len(found["events"]) == 1

    asyncio.run(scenario())
    many.close()
    large.close()


# Each error code

Provoked = Callable[[Rig, zmq.asyncio.Socket], Awaitable[dict[str, Any]]]
VOICE = {"op": 4, "d": {}}


async def bad_request(_: Rig, client: zmq.asyncio.Socket) -> dict[str, Any]:
    return await asked(client, "restart")


async def rate_limited(rig: Rig, client: zmq.asyncio.Socket) -> dict[str, Any]:
    for _ in range(1025):
        await client.send(request("send", shard=0, payload=VOICE))
    return await answer(client)


async def not_ready(_: Rig, client: zmq.asyncio.Socket) -> dict[str, Any]:
    found = await asked(client, "replay", shard=3)
    assert found["error"]["no_log"] is True
    return found


async def unknown_shard(_: Rig, client: zmq.asyncio.Socket) -> dict[str, Any]:
    assert code(await asked(client, "send", shard=4, payload=VOICE)) == "unknown_shard"
    return await asked(client, "replay", shard=4)


async def expired(_: Rig, client: zmq.asyncio.Socket) -> dict[str, Any]:
    found = await asked(client, "replay", shard=1, after=0)
    oldest = found["error"]["oldest"]
    assert code(await asked(client, "replay", shard=1, after=oldest - 2)) == "expired"
    assert (await asked(client, "replay", shard=1, after=oldest - 1))["ok"] is True
    return found


async def wrong_epoch(_: Rig, client: zmq.asyncio.Socket) -> dict[str, Any]:
    found = await asked(client, "replay", shard=0, epoch="f" * 16, after=5)
    assert (await asked(client, "replay", shard=0, epoch=found["error"]["epoch"], after=-1))["ok"] is True
    return found


async def too_large(_: Rig, client: zmq.asyncio.Socket) -> dict[str, Any]:
    return await asked(client, "send", shard=0, payload={"op": 4, "d": {"x": "x" * 20_000}})


async def forbidden_opcode(rig: Rig, client: zmq.asyncio.Socket) -> dict[str, Any]:
    await client.send(request("send", shard=0, payload={"op": 2, "d": {}}))
    await until(lambda: bool(rig.told))
    # That it is its worker who says so is tested with real ones.
    rig.commands.heard(CommandDone(rig.told[0][1].id, "forbidden_opcode", "op is 2", None, 1.0))
    return await answer(client)


PROVOKED: dict[str, Provoked] = {
    each.__name__: each
    for each in (
        bad_request,
        rate_limited,
        not_ready,
        unknown_shard,
        expired,
        wrong_epoch,
        too_large,
        forbidden_opcode,
    )
}


def test_the_page_has_these_error_codes_and_no_others() -> None:
    table = DOC[DOC.index("## What may go wrong") : DOC.index("## Requests, byte by byte")]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == PROVOKED.keys() | {"forbidden"}, "which needs keys: tests/cluster/curve has it"


@pytest.mark.parametrize("name", PROVOKED)
def test_each_error_code_can_be_provoked_and_the_next_request_is_answered(tmp_path: Path, name: str) -> None:
    logs = tmp_path / "logs"
    fresh, old = open_log(logs / "0"), open_log(logs / "1", retention_bytes=2 << 20)
    put(fresh, "READY")
    for _ in range(60):
        put(old, "X", payload=BIG)
        old.sync()

    async def scenario() -> None:
        async with opened(tmp_path, lambda: Replays(lambda shard: Reader(logs / str(shard)))) as rig:
            client = rig.client()
            found = await PROVOKED[name](rig, client)
            assert (code(found), found["id"], found["v"]) == (name, 7, 1)
            assert found["error"]["message"]
            assert (await asked(client))["ok"] is True

    asyncio.run(scenario())
    fresh.close()
    old.close()
