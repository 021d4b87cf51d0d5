"""The gateway that only slices says what Discord would: HELLO, READY, ACKs, RESUMED, and no to the hasty."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.gateway import Gateway
from bench.processes import until
from bench.schedule import Pace
from bench.serving import Settings
from support.sim_client import RawClient, get

CHAPTER = 128
EVENTS = 2 * CHAPTER


@pytest.fixture(params=["none", "zlib-stream", "zstd-stream"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def gateway(tmp_path: Path, transport: str) -> Iterator[Gateway]:
    with Gateway(Settings("chat", 2, 1, 2 * EVENTS, transport, tmp_path)) as one:
        yield one


async def seqs(client: RawClient, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        message = await client.receive()
        if message["op"] == 0:
            found.append(message["s"])
    return found


def client(gateway: Gateway, transport: str) -> RawClient:
    return RawClient(gateway.url, None if transport == "none" else transport)


def test_a_client_gets_all_events_its_acknowledgements_and_by_resume_what_it_missed(
    gateway: Gateway, transport: str
) -> None:
    async def live() -> None:
        async with client(gateway, transport) as one:
            ready = await one.identify(shard=0)
            assert ready["t"] == "READY"
            assert ready["s"] == 1
            await one.send(1, None)
            assert (await one.receive())["op"] == 11
            gateway.send(Pace(EVENTS, 2_000.0))
            assert await seqs(one, 5) == [2, 3, 4, 5, 6]
            await one.send(1, 6)
            kinds: list[tuple[Any, ...]] = []
            while len(kinds) < EVENTS - 5 + 1:
                message = await one.receive()
                kinds.append((message["op"], message["s"]))
            assert kinds.index((11, None)) == CHAPTER - 5, "where a chapter ends"
            kinds.remove((11, None))
            assert kinds == [(0, seq) for seq in range(7, EVENTS + 2)]
            session = ready["d"]["session_id"]
        await asyncio.to_thread(lambda: until(lambda: gateway.live() == 0, "the end of the connection"))
        assert gateway.sent(5.0) is not None
        gateway.send(Pace(10, 10_000.0))  # nobody is there
        async with client(gateway, transport) as one:
            assert (await one.receive())["op"] == 10
            await one.send(6, {"session_id": session, "seq": EVENTS - 1})
            replayed = await seqs(one, 13)
            assert replayed == list(range(EVENTS, EVENTS + 13))
            found = gateway.sent(5.0)
            assert found is not None
            assert found[0].bursts[0][:3] == (0, EVENTS + 2, 1)
            gateway.send(Pace(3, 10_000.0))
            assert await seqs(one, 3) == [EVENTS + 13, EVENTS + 14, EVENTS + 15]

    asyncio.run(live())
    assert [mark.what for mark in gateway.marks()][:4] == ["identify", "ready", "closed", "resumed"]


def test_an_identify_too_soon_is_refused_and_noted(gateway: Gateway, transport: str) -> None:
    async def too_soon() -> None:
        async with client(gateway, transport) as first, client(gateway, transport) as second:
            await first.identify(shard=0)
            refused = await second.identify(shard=1)
            assert (refused["op"], refused["d"]) == (9, False)

    asyncio.run(too_soon())
    assert [(mark.what, mark.shard) for mark in gateway.marks()][:4] == [
        ("identify", 0),
        ("ready", 0),
        ("identify", 1),
        ("refused", 1),
    ]


def test_it_says_what_clients_ask_first(tmp_path: Path) -> None:
    with Gateway(Settings("chat", 64, 16, 0, "none", tmp_path)) as gateway:
        status, bot = get(f"{gateway.api}/gateway/bot")
        assert status == 200
        assert bot["url"] == gateway.url
        assert bot["shards"] == 64
        assert bot["session_start_limit"]["max_concurrency"] == 16
        assert json.dumps(get(f"{gateway.api}/users/@me")[1]["id"])
        assert get(f"{gateway.api}/nothing")[0] == 404


def test_what_was_sent_is_noted_with_the_moment_and_how_the_sender_fared(tmp_path: Path) -> None:
    with Gateway(Settings("chat", 1, 1, EVENTS, "none", tmp_path)) as gateway:

        async def take() -> None:
            async with client(gateway, "none") as one:
                await one.identify(shard=0)
                gateway.send(Pace(EVENTS, 2_560.0, 64))
                await seqs(one, EVENTS)

        asyncio.run(take())
        found = gateway.sent(5.0)
    assert found is not None
    sent, sender = found
    assert [(shard, first, count) for shard, first, count, _ in sent.bursts] == [
        (0, 2 + start, 64) for start in range(0, EVENTS, 64)
    ]
    times = [at for *_, at in sent.bursts]
    assert 0.07 < (times[-1] - times[0]) / 1e9 < 1.0
    assert 0 < sender.cpu < 1
    assert sender.blocked == 0
